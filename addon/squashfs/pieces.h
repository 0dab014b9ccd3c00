/* Stretches of one file, one behind the other, as a libsquashfs file for reading. */
#ifndef SING_PIECES_H
#define SING_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include <sqfs/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In an image a file is whole blocks in a row, and an end that lies elsewhere. */
enum { SING_PIECES_MOST = 2 };

struct sing_piece {
	uint64_t offset;
	uint64_t size;
};

/*
 * The pieces of `below`, a file of ours (file.h), which the new one then owns: freed by sqfs_destroy, copied by sqfs_copy. Any
 * number of threads may read at once. Returns 0, ENOMEM, or SQFS_ERROR_OUT_OF_BOUNDS for pieces that `below` does not have; on
 * a failure it stays the caller's.
 */
int sing_pieces_open(sqfs_file_t *below, const struct sing_piece *pieces, size_t count, sqfs_file_t **out);

#ifdef __cplusplus
}
#endif

#endif
