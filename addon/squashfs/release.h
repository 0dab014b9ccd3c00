/* Gives objects of libsquashfs back. */
#ifndef SING_RELEASE_H
#define SING_RELEASE_H

#include <stddef.h>

#include <sqfs/predef.h>

/* As sqfs_destroy, which takes NULL only since libsquashfs 1.2; Ubuntu 22.04 has 1.1. */
static inline void sing_release(void *object)
{
	if (object != NULL)
		sqfs_destroy(object);
}

#endif
