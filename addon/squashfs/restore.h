/* Gives a file that was just made the attributes it has in the image. */
#ifndef SING_RESTORE_H
#define SING_RESTORE_H

#include <stdbool.h>
#include <stddef.h>

#include "reader.h"

struct sing_kept_xattr;

/* The attributes of an inode, kept until the file is complete. */
struct sing_kept {
	struct sing_stat stat;
	bool ownership;
	struct sing_kept_xattr *xattrs;
};

/* Read them. Returns 0 or a reason; sing_kept_free in either case. */
int sing_kept_read(struct sing_image *image, const sqfs_inode_generic_t *inode, bool ownership, struct sing_kept *kept);
void sing_kept_free(struct sing_kept *kept);

/* Apply all to an open file or directory. Returns 0 or an errno. */
int sing_kept_apply(const struct sing_kept *kept, int fd);

/* Apply all to an entry that cannot be opened. Returns 0 or an errno. */
int sing_kept_apply_at(const struct sing_kept *kept, int directory, const char *name);

#endif
