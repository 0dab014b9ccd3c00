/* Threads that fill files with their contents while the directory tree is still being made. */
#ifndef SING_FILL_H
#define SING_FILL_H

#include <sqfs/inode.h>

#include "failure.h"
#include "reader.h"
#include "restore.h"

struct sing_fill;

/* Start the threads, for files of these images, which must outlive them. Returns 0 or a reason. */
int sing_fill_start(struct sing_image *const *images, size_t count, unsigned workers, struct sing_fill **out);

/*
 * Fill the open, empty file from that image and give it its attributes. Takes descriptor, inode and attributes over, also when it fails.
 * Waits while much is to do already. Returns 0, or -1 when a file before it could not be filled.
 */
int sing_fill_add(struct sing_fill *fill, int fd, unsigned image, sqfs_inode_generic_t *inode, const struct sing_kept *kept,
		  const char *path);

/* Wait for what is to do (or, `stop`, leave it), end the threads, free. Returns 0, or -1 with a failure. */
int sing_fill_end(struct sing_fill *fill, bool stop, struct sing_failure *failure);

#endif
