/* Decompressors for every compression that squashfs 4.0 knows, as libsquashfs compressors. */
#ifndef SING_DECOMPRESSOR_H
#define SING_DECOMPRESSOR_H

#include <sqfs/compressor.h>
#include <sqfs/io.h>
#include <sqfs/super.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A decompressor for the image of `super`: gzip, lzma, lzo, xz, lz4 or zstd. `file` is read for options that change how
 * data is to be understood. One decompressor serves one thread; sqfs_copy makes one more; sqfs_destroy frees.
 *
 * do_block returns the number of bytes unpacked; 0 when they do not fit into the output; a negative SQFS_ERROR for
 * damaged input. Returns 0 or SQFS_ERROR_UNSUPPORTED, SQFS_ERROR_ALLOC, or what reading the file gave.
 */
int sing_decompressor_create(const sqfs_super_t *super, sqfs_file_t *file, sqfs_compressor_t **out);

#ifdef __cplusplus
}
#endif

#endif
