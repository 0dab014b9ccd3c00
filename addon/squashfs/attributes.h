/* Extended attributes of files on the host. */
#ifndef SING_ATTRIBUTES_H
#define SING_ATTRIBUTES_H

#include <stddef.h>

#include "reader.h"
#include "writer.h"

/* A list of extended attributes and the memory behind it, which is used again for the next file. */
struct sing_xattr_list {
	struct sing_xattr *items; /* sorted by name */
	size_t count;
	size_t room;
	char *names;
	char *values;
	size_t values_room;
};

/*
 * Read those of an open file (name NULL), or of the entry `name` of the open directory without following it. Attributes
 * that may not be read, and file systems without any, give fewer or none. Returns 0 or an errno.
 */
int sing_xattrs_read(struct sing_xattr_list *list, int fd, const char *name);

/*
 * Those of an inode of a layer, without marks of overlays and records of owners: what they say of a layer, the layer itself says.
 * Returns 0 or a reason.
 */
int sing_xattrs_copy(struct sing_xattr_list *list, struct sing_image *image, const sqfs_inode_generic_t *inode);

/* Add an attribute whose name and value live longer than the list. Returns 0 or ENOMEM. */
int sing_xattrs_add(struct sing_xattr_list *list, const char *name, const void *value, size_t size);

void sing_xattrs_free(struct sing_xattr_list *list);

#endif
