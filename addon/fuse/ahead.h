/* Reading ahead: unpacks blocks that will probably be wanted, on threads of its own. */
#ifndef SING_AHEAD_H
#define SING_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"

struct ahead;

/* For an image served by `threads` threads; its own threads begin when there is something to do. NULL without memory. */
struct ahead *ahead_create(struct image *image, unsigned threads);

/* How many blocks are worth reading ahead of a reader. */
unsigned ahead_depth(const struct ahead *ahead);

/* Notes that blocks `first` to `last` of a file are read. Tells whether that goes on where an earlier reading ended. */
bool ahead_follows(struct ahead *ahead, uint64_t file, uint64_t first, uint64_t last);

/* Has a block unpacked when there is time; drops the wish when there are too many. */
void ahead_want(struct ahead *ahead, struct extent extent);

#endif
