/*
 * The contents of an encrypted file as a libsquashfs file: plain for who reads and writes it, sealed block by block (seal.h)
 * in the file below.
 */
#ifndef SING_CIPHER_H
#define SING_CIPHER_H

#include <sqfs/io.h>

#include "seal.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Both take `below`, a file of ours (file.h), which the new one then owns; on a failure it stays the caller's. Freed by
 * sqfs_destroy, which wipes the key.
 */

/*
 * For reading, by any number of threads at once. A block that cannot be opened is SING_FORGED. Returns 0, SING_FORGED when
 * `below` cannot be an encrypted file, ENOMEM, or what reading gave.
 */
int sing_cipher_open(sqfs_file_t *below, const uint8_t key[SING_SEAL_KEY], sqfs_file_t **out);

/*
 * For writing, by one thread at a time, as a writable window is (window.h): begins empty, and what was written can be read
 * and written again, each time under a new nonce. `below` is writable and empty; the sealed file begins at its beginning.
 * Returns 0, ENOMEM, or what writing gave.
 */
int sing_cipher_create(sqfs_file_t *below, const uint8_t key[SING_SEAL_KEY], const uint8_t id[SING_SEAL_ID],
		       sqfs_file_t **out);

/* Write what is still held back: behind the last write, before `below` is looked at. Returns 0 or what writing gave. */
int sing_cipher_flush(sqfs_file_t *file);

#ifdef __cplusplus
}
#endif

#endif
