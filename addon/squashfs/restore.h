/* Gives a file that was just made the attributes it has in the image. */
#ifndef SING_RESTORE_H
#define SING_RESTORE_H

#include <stdbool.h>
#include <stddef.h>

#include "reader.h"

struct sing_kept_xattr;

/* What of the attributes is kept, and how. */
struct sing_keeping {
	bool ownership; /* owners are set, as far as the system allows it */
	bool notes;     /* owners other than root, and devices, are noted instead (record.h) */
	bool stacked;   /* what is meant for overlays is left out */
};

/* The attributes of an inode, kept until the file is complete. */
struct sing_kept {
	struct sing_stat stat;
	bool ownership;
	struct sing_kept_xattr *xattrs;
};

/* Read them. Returns 0 or a reason; sing_kept_free in either case. */
int sing_kept_read(struct sing_image *image, const sqfs_inode_generic_t *inode, struct sing_keeping keeping,
		   struct sing_kept *kept);

/* Whether it is a device that is noted on an empty file. */
bool sing_kept_is_noted_device(const struct sing_kept *kept, struct sing_keeping keeping);
void sing_kept_free(struct sing_kept *kept);

/* Apply all to an open file or directory. Returns 0 or an errno. */
int sing_kept_apply(const struct sing_kept *kept, int fd);

/* Apply all to an entry that cannot be opened. Returns 0 or an errno. */
int sing_kept_apply_at(const struct sing_kept *kept, int directory, const char *name);

#endif
