/* A directory tree of the host as the source of an image. */
#ifndef SING_WALK_H
#define SING_WALK_H

#include <stddef.h>

#include "writer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Read everything below `root` into the writer, in the order of byte values. `excludes` are paths relative to the root,
 * sorted by byte values, left out with everything below them. Links are never followed, except `root` itself.
 * `changes` is NULL, or the upper directory of the overlay that `root` is: the writer has the base image below it, from which
 * it takes all other files. Returns 0, or -1 with a failure that names the path.
 */
int sing_walk(struct sing_writer *writer, const char *root, const char *changes, const char *const *excludes,
	      size_t exclude_count, struct sing_failure *failure);

#ifdef __cplusplus
}
#endif

#endif
