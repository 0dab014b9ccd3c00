/* What the kernel asks of a file system, answered from an image. */
#ifndef SING_OPS_H
#define SING_OPS_H

#include <stdbool.h>

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "image.h"

/* The user data of the session. */
struct served {
	struct image *image;
	/* found out when the mount begins: the kernel can do without opening files, and directories */
	bool open_for_nothing;
	bool opendir_for_nothing;
};

/* The operations; each works on its own, from any thread. */
extern const struct fuse_lowlevel_ops image_operations;

#endif
