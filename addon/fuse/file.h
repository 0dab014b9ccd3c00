/* The contents of files. */
#ifndef SING_FILE_H
#define SING_FILE_H

#include "inode.h"

/* Bytes to answer with; `block` (may be NULL) is the cached block they lie in, to be given back after the answer. */
struct span {
	const uint8_t *bytes;
	size_t size;
	const struct block *block;
};

/*
 * Reads up to `size` bytes (at most ANSWER_SIZE) from `offset`; less only at the end of the file. 0 or a negative errno.
 * The bytes are valid until file_release, or this thread's next read.
 */
int file_read(struct image *image, inode_reference reference, const struct inode *inode, uint64_t offset, size_t size,
	      struct span *span);
void file_release(struct image *image, const struct span *span);

/* The loader of the cache of data blocks. */
int file_load_block(struct image *image, struct block *block);


#endif
