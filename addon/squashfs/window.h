/*
 * A stretch of an open file as a libsquashfs file: the place of an image inside a larger file, for reading it or for
 * writing it.
 */
#ifndef SING_WINDOW_H
#define SING_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include <sqfs/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A window of `size` bytes at `offset` of `fd`. The descriptor stays the caller's, must outlive the window and its copies,
 * and its file position is never used.
 *
 * Read-only: reading past the end is SQFS_ERROR_OUT_OF_BOUNDS; any number of threads may read at once.
 * Writable: begins empty and grows up to `size` (UINT64_MAX: as far as the file may); one thread at a time.
 * A failed system call is SQFS_ERROR_IO and leaves its errno for sing_file_errno (file.h).
 *
 * Returns NULL without memory or when the range is no range of a file. Freed by sqfs_destroy, copied by sqfs_copy.
 */
sqfs_file_t *sing_window_open(int fd, uint64_t offset, uint64_t size, bool writable);

/* A writable one that does not begin empty: `size` bytes are there, and it grows as far as the file may. */
sqfs_file_t *sing_window_resume(int fd, uint64_t offset, uint64_t size);

#ifdef __cplusplus
}
#endif

#endif
