/* Ways through the tree that is being packed: along paths and the symbolic links in it, never out of it. */
#ifndef SING_WAY_H
#define SING_WAY_H

#include <stddef.h>

#include "tree.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_way {
	const struct sing_inode *root;
	struct sing_inode *above[SING_DEPTH_LIMIT]; /* the directories that we are in, without the root */
	size_t depth;
	unsigned links; /* followed so far */
};

/* Begin at the root. */
void sing_way_begin(struct sing_way *way, struct sing_inode *root);

/* The directory that we are in. */
struct sing_inode *sing_way_directory(const struct sing_way *way);

/*
 * One step: a name in that directory, '..', or through a link. Returns 0, ENOENT, ENOTDIR, ELOOP or SING_NESTED; then the way
 * is where it was, or where a link led to so far.
 */
int sing_way_step(struct sing_way *way, const char *name, size_t length);

/* All steps of a path but the last: `name` and `length` are what is left, with length 0 for the root. */
int sing_way_follow(struct sing_way *way, const char *path, const char **name, size_t *length);

#ifdef __cplusplus
}
#endif

#endif
