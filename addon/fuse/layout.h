/* Where the blocks of a file lie. They follow each other; only their sizes are recorded. */
#ifndef SING_LAYOUT_H
#define SING_LAYOUT_H

#include "inode.h"

/* The bit in a block's size that says "stored as it is"; a size of 0 is a hole. */
#define BLOCK_PLAIN (UINT32_C(1) << 24)

/* A walk over the blocks of one file; hold it as LAYOUT, so that the cursor in it is given back. */
struct layout {
	struct image *image;
	struct cursor cursor;
	uint64_t blocks;
	/* the next block, and where it begins in the image */
	uint64_t block;
	uint64_t at;
};

#define LAYOUT __attribute__((cleanup(layout_close))) struct layout

/* Knowledge of where blocks of long files begin, shared by all threads. NULL without memory. */
struct trails *trails_create(void);

/* The number of blocks that a file has to itself; what is left of it lies in a fragment block. */
uint64_t layout_blocks(const struct image *image, const struct inode *inode);

/* Begins at `block`, which is at most layout_blocks. 0 or a negative errno. */
int layout_seek(struct layout *layout, struct image *image, inode_reference reference, const struct inode *inode,
		uint64_t block);

/* The next block, which must exist. 0 or a negative errno. */
int layout_next(struct layout *layout, struct extent *extent);

void layout_close(struct layout *layout);

/* Bytes that a block takes in the image. */
static inline uint32_t extent_size(struct extent extent)
{
	return extent.word & ~BLOCK_PLAIN;
}

#endif
