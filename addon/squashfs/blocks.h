/* Writes the blocks of files one behind the other, and those of a file that is there already not again. */
#ifndef SING_BLOCKS_H
#define SING_BLOCKS_H

#include <sqfs/block_writer.h>
#include <sqfs/io.h>

/*
 * A block writer for libsquashfs's block processor; sqfs_destroy frees it, the file stays the caller's. libsquashfs's own
 * compares each file with every block before it, which is slow for large images. NULL without memory.
 */
sqfs_block_writer_t *sing_blocks_create(sqfs_file_t *file);

#endif
