/* What becomes of the marks of overlays (mark.h) in what is packed. */
#ifndef SING_MARKS_H
#define SING_MARKS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "attributes.h"
#include "mark.h"
#include "reader.h"

/*
 * Names that are marks for fuse-overlayfs: NAME is gone, and the directory with such a file is opaque. All others that begin like these
 * mean nothing.
 */
#define SING_WHITEOUT_PREFIX ".wh."
#define SING_WHITEOUT_OTHER ".wh..wh."
#define SING_WHITEOUT_OPAQUE ".wh..wh..opq"

/* What the marks in a directory become. */
enum sing_marks {
	SING_MARKS_PLAIN, /* they are none: it is no upper directory */
	SING_MARKS_KEEP,  /* those that hide something stay, as users may set them */
	SING_MARKS_APPLY, /* they have had their effect, and are gone */
};

bool sing_is_whiteout(const struct stat *status);

/* Whether the marks say that the file itself, or its content, is in a layer below. */
bool sing_marks_refer(const struct sing_xattr_list *list);

/* Mark a directory as opaque, as users may do it. Returns 0 or ENOMEM. */
int sing_marks_add_opaque(struct sing_xattr_list *list);

/* Take the marks out of a list, or what of them does not stay. True when the directory is opaque. */
bool sing_marks_take(struct sing_xattr_list *list, enum sing_marks marks);

/* Whether a directory of a layer is opaque. Returns 0 or a reason. */
int sing_image_opaque(struct sing_image *image, const sqfs_inode_generic_t *directory, bool *opaque);

#endif
