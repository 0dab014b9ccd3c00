/* An image of one layer, to be stacked with others by overlayfs: removed names become what overlayfs takes for them. */
#ifndef SING_OVERLAY_H
#define SING_OVERLAY_H

#include "merge.h"

/* The extended attributes of a directory: there is no way to read them back when one more is wanted. */
struct sing_kept {
	const struct sing_inode *inode;
	struct sing_xattr *xattrs;
	size_t count;
	struct sing_kept *next;
};

struct sing_overlay {
	struct sing_kept *first; /* newest first */
};

/* A directory was described. Returns 0 or ENOMEM. */
int sing_overlay_keep(struct sing_overlay *overlay, const struct sing_inode *inode,
		      const struct sing_attributes *attributes);

/* The layer was read: make a device 0:0 of each removed name, and mark directories that hide what is below. */
int sing_overlay_mark(struct sing_overlay *overlay, struct sing_merge *merge);

void sing_overlay_free(struct sing_overlay *overlay);

#endif
