/*
 * What an overlay keeps in its upper directory beside files (overlayfs.rst): a character device 0:0 hides what is below, a directory
 * may be opaque, and further attributes say how things came about.
 */
#ifndef SING_MARK_H
#define SING_MARK_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the name of an attribute is one that overlays use, those of root, of users, or of fuse-overlayfs. */
bool sing_is_overlay_mark(const char *name);

/* Whether an attribute of that name says that the file itself, or its content, is in a layer below. */
bool sing_is_referring_mark(const char *name);

/* Whether an attribute makes a directory opaque. */
bool sing_is_opaque_mark(const char *name, const void *value, size_t size);

#endif
