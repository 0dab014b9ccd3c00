/* Directories: their entries one after the other, from any place, and the one with a name. */
#ifndef SING_DIRECTORY_H
#define SING_DIRECTORY_H

#include "inode.h"

/* The longest name in the format. */
enum { NAME_SIZE = 256 };

struct entry {
	char name[NAME_SIZE + 1];
	inode_reference reference;
	uint32_t number;
	/* file type, as in st_mode */
	uint32_t mode;
	/* the place behind the entry, for directory_seek; grows from entry to entry, never 0 */
	uint64_t next;
};

/* A walk over one directory; hold it as LISTING, so that the cursor in it is given back. */
struct listing {
	struct cursor cursor;
	const struct inode *inode;
	/* bytes read of the listing, where its current run of entries begins, and the entry in the run */
	uint64_t read;
	uint64_t run;
	uint32_t entry;
	uint32_t entries;
	/* what the run's entries have in common */
	uint32_t block;
	uint32_t number;
};

#define LISTING __attribute__((cleanup(directory_close))) struct listing

/* Begins at `place`: 0, or what an entry gave as `next`. 0 or a negative errno. */
int directory_seek(struct listing *listing, struct image *image, const struct inode *inode, uint64_t place);

/* The next entry. 1, 0 at the end, or a negative errno. */
int directory_next(struct listing *listing, struct entry *entry);

/* The entry called `name`. 0 or a negative errno, -ENOENT when there is none. */
int directory_find(struct image *image, const struct inode *inode, const char *name, struct entry *entry);

void directory_close(struct listing *listing);

#endif
