/* Extended attributes. */
#ifndef SING_XATTR_H
#define SING_XATTR_H

#include "image.h"

/* The longest value, and the longest list of names, that the kernel knows. */
enum { XATTR_BYTES = 65536 };

/* Whether the image has any. */
bool xattr_exist(const struct image *image);

/*
 * The value of the attribute `name` of the set `index`. Its size in bytes or a negative errno: -ENODATA when the set does
 * not have it.
 */
int xattr_get(struct image *image, uint32_t index, const char *name, char value[XATTR_BYTES]);

/*
 * The names of the set `index`, each ended by NUL. Their size in bytes or a negative errno. Names under "trusted." are
 * left out: nobody in a user namespace could read them, and copying programs would complain.
 */
int xattr_list(struct image *image, uint32_t index, char names[XATTR_BYTES]);

#endif
