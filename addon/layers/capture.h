/* Copies of small files below certain paths, for who wants to know what the image says. */
#ifndef SING_CAPTURE_H
#define SING_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers.h"
#include "merge.h"

struct sing_capture {
	const char *const *paths;
	size_t path_count;
	struct sing_captured *first; /* newest first */
	size_t bytes;
};

/* A file begins: a copy to be filled, or NULL in `out` when it is not wanted or too large. Returns 0 or ENOMEM. */
int sing_capture_begin(struct sing_capture *capture, const char *path, uint64_t size, struct sing_inode *inode,
		       struct sing_captured **out);

/* Find out which of them became names below the paths. Returns 0 or ENOMEM. */
int sing_capture_end(struct sing_capture *capture, const struct sing_merge *merge);

void sing_capture_free(struct sing_capture *capture);

#endif
