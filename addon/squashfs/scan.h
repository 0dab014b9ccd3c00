/*
 * Looks at a directory tree of the host from a thread of its own, some way ahead of the one that packs it: directories are
 * listed, files opened and their data asked of the disk while others are still being compressed. The tree may stand on layers,
 * whose files are looked up in them.
 */
#ifndef SING_SCAN_H
#define SING_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "attributes.h"
#include "failure.h"
#include "marks.h"

struct sing_base;

/* All of it must live as long as the scan. */
struct sing_scan_options {
	const char *root;      /* the directory, as messages call it */
	const char *directory; /* where it is read; NULL: there */
	enum sing_marks marks;
	bool named_marks; /* names are marks, too: fuse-overlayfs makes them where it cannot make whiteouts */
	const struct sing_base *base; /* the layers that it is the upper directory of, whose marks are applied; or NULL */
	const char *const *excludes; /* paths relative to the root, sorted by byte values, left out with everything below them */
	size_t exclude_count;
};

enum sing_item_kind {
	SING_ITEM_DIRECTORY, /* what follows is inside, up to the matching SING_ITEM_UP; the first one is the root */
	SING_ITEM_UP,
	SING_ITEM_FILE,    /* a regular file, open */
	SING_ITEM_LAYERED, /* a regular file of a layer */
	SING_ITEM_OTHER,
	SING_ITEM_FAILURE, /* nothing follows */
};

/* The layer of what is on the host. */
#define SING_HOST 0xffffffffu

struct sing_item {
	enum sing_item_kind kind;
	int fd; /* of a file, else -1 */
	unsigned layer;              /* or SING_HOST */
	sqfs_inode_generic_t *inode; /* of a file of a layer */
	struct stat status; /* with records applied; of a layer the number is the place in it */
	bool opaque;        /* a directory of the host that hides what is below */
	bool known;         /* the owner is that of a record, or of a layer */
	char *target; /* of a symbolic link */
	struct sing_xattr_list xattrs;
	struct sing_failure *failure;
	char name[];
};

struct sing_scan;

/* Returns 0 or an errno. */
int sing_scan_start(const struct sing_scan_options *options, struct sing_scan **out);

/*
 * Give each item to `take`, in the order of byte values of names, until that returns something else than 0, which is the result. 0: the
 * scan came to an end before, by lack of memory.
 */
int sing_scan_each(struct sing_scan *scan, int (*take)(void *user, struct sing_item *item), void *user);

/* End the scan, wherever it is, and free it. */
void sing_scan_end(struct sing_scan *scan);

#endif
