/* An encrypted image in its place: sealed while it is written (cipher.h), and at last in its casing (casing.h). */
#ifndef SING_ENCRYPTED_H
#define SING_ENCRYPTED_H

#include <stddef.h>
#include <stdint.h>

#include <sqfs/io.h>

#include "seal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_encryption {
	uint8_t key[SING_SEAL_KEY]; /* of the contents */
	const char *name;           /* of the encrypted file in the casing */
	const void *configuration;  /* of gocryptfs, which says how the key is found */
	size_t configuration_size;
};

/* A file for the image, at `offset` of `fd`. Returns 0 or a reason as in failure.h. */
int sing_encrypted_begin(int fd, uint64_t offset, const struct sing_encryption *encryption, sqfs_file_t **out);

/*
 * The image is whole: write what is around it. `size` becomes the bytes that all of it takes from `offset` on, a multiple of
 * 4096. The file can only be freed afterwards. Returns 0 or a reason as in failure.h.
 */
int sing_encrypted_end(sqfs_file_t *file, int fd, uint64_t offset, const struct sing_encryption *encryption,
		       uint32_t time, uint64_t *size);

#ifdef __cplusplus
}
#endif

#endif
