/*
 * A bounded cache of unpacked blocks, shared by all threads. A block that two threads want at once is unpacked once; a
 * block in use is never thrown out.
 */
#ifndef SING_CACHE_H
#define SING_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image;
struct cache;

/* Where a block lies in the image, and its size as the image records it (0 where blocks carry their own size). */
struct extent {
	uint64_t at;
	uint32_t word;
};

/* A cached block. `data` and `size` hold from cache_get until cache_put; `next` is where the block ends in the image. */
struct block {
	struct extent extent;
	uint8_t *data;
	uint32_t size;
	uint64_t next;
};

/*
 * Fills `block` (extent is set, data has room for the cache's block size) and sets size and next. Called without any lock,
 * from any thread. Returns 0 or a negative errno.
 */
typedef int (*block_loader)(struct image *image, struct block *block);

/* A cache of at most `count` blocks of up to `size` bytes; memory is touched as blocks come. NULL without memory. */
struct cache *cache_create(struct image *image, unsigned count, size_t size, block_loader load);

/*
 * The block at `extent`, loaded when it is not there. Waits while another thread loads it, or while all blocks are in use.
 * Returns NULL with a negative errno in `error` when it could not be loaded; failures are not remembered.
 */
const struct block *cache_get(struct cache *cache, struct extent extent, int *error);

/* Whether the block is there, or being loaded. */
bool cache_has(struct cache *cache, struct extent extent);

/* Gives a block back; NULL is allowed. */
void cache_put(struct cache *cache, const struct block *block);

#endif
