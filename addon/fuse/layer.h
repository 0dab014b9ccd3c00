/*
 * What one of the layers of an overlay shows, whose changes are packed as another layer: attributes that the kernel copies up with a file
 * say nothing that is not so. In a user namespace they say what cannot be shown there: the number of a device, which appears as an empty
 * file, and with a single id (an owner for all files) the owner (../squashfs/record.h).
 */
#ifndef SING_FUSE_LAYER_H
#define SING_FUSE_LAYER_H

#include "inode.h"
#include "xattr.h"

/* Note what the inode is, and make it what it is shown as. A device 0:0 stays one: it hides what is below. */
void layer_record(const struct image *image, struct inode *inode);

/* Whether there can be attributes at all. */
bool layer_has_xattrs(const struct image *image);

/* As xattr_get and xattr_list, of an inode. */
int layer_xattr_get(struct image *image, const struct inode *inode, const char *name, char value[XATTR_BYTES]);
int layer_xattr_list(struct image *image, const struct inode *inode, char names[XATTR_BYTES]);

#endif
