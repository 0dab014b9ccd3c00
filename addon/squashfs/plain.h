/*
 * The plain bytes of an image, whether it is encrypted or not. What opens an encrypted one travels in a file in memory that
 * has no name, from process to process by its descriptor alone:
 *
 *   "SINGKEY1" | 32 bytes of key | u32 number of pieces | u32 0 | pieces: u64 offset, u64 size       little-endian
 *
 * The pieces are where the encrypted file lies in the image file around it (pieces.h, cipher.h).
 */
#ifndef SING_PLAIN_H
#define SING_PLAIN_H

#include <stdint.h>

#include <sqfs/io.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SING_NO_KEY = -1 };

/*
 * The image at [offset, offset+size) of `fd`, for reading, as window.h says; `key` is the descriptor of what opens it, or
 * SING_NO_KEY. Neither descriptor's position is used, and `key` may be closed afterwards. Returns 0 or a reason as in
 * failure.h, SING_KEY when there is no key in what was given as one; then `out` is NULL.
 */
int sing_plain_open(int fd, uint64_t offset, uint64_t size, int key, sqfs_file_t **out);

#ifdef __cplusplus
}
#endif

#endif
