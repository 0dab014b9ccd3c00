/* What the kernel asks of a file system, answered from an image. */
#ifndef SING_OPS_H
#define SING_OPS_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

/* The operations; the session's user data is the struct image. */
extern const struct fuse_lowlevel_ops image_operations;

#endif
