/*
 * Blocks of an encrypted file, as gocryptfs lays them out: AES-256-GCM over at most 4096 bytes, bound to the place of the
 * block and to the file.
 *
 *   file    u16be 2 | 16 bytes of file id | blocks
 *   block   16 bytes of nonce | up to 4096 bytes | 16 bytes of tag, which also covers u64be number of the block | file id
 */
#ifndef SING_SEAL_H
#define SING_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nettle/aes.h>
#include <nettle/gcm.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	SING_SEAL_KEY = 32,
	SING_SEAL_ID = 16,
	SING_SEAL_HEADER = 2 + SING_SEAL_ID,
	SING_SEAL_NONCE = 16,
	SING_SEAL_TAG = 16,
	SING_SEAL_MORE = SING_SEAL_NONCE + SING_SEAL_TAG, /* bytes that a sealed block is longer */
	SING_SEAL_PLAIN = 4096,
	SING_SEAL_BLOCK = SING_SEAL_PLAIN + SING_SEAL_MORE,
};

/* The key of the file's contents, ready for use; what holds it wipes it. Any number of threads may use it at once. */
struct sing_seal {
	struct aes256_ctx cipher;
	struct gcm_key hash;
	uint8_t id[SING_SEAL_ID];
};

void sing_seal_init(struct sing_seal *seal, const uint8_t key[SING_SEAL_KEY], const uint8_t id[SING_SEAL_ID]);
void sing_seal_wipe(struct sing_seal *seal);

/* Seal `size` bytes, 1 to SING_SEAL_PLAIN, into `size` + SING_SEAL_MORE. A nonce is never used twice with one key. */
void sing_seal_close(const struct sing_seal *seal, uint64_t number, const uint8_t nonce[SING_SEAL_NONCE],
		     const uint8_t *plain, size_t size, uint8_t *sealed);

/*
 * Open a sealed block of `size` bytes, SING_SEAL_MORE + 1 to SING_SEAL_BLOCK, into `size` - SING_SEAL_MORE. False when it is
 * not what was sealed as block `number` of this file; then `plain` is all zero.
 */
bool sing_seal_open(const struct sing_seal *seal, uint64_t number, const uint8_t *sealed, size_t size, uint8_t *plain);

/* The header of a file. Reading is false for another version. */
void sing_seal_write_header(const uint8_t id[SING_SEAL_ID], uint8_t header[SING_SEAL_HEADER]);
bool sing_seal_read_header(const uint8_t header[SING_SEAL_HEADER], uint8_t id[SING_SEAL_ID]);

/* Bytes of a file, sealed and not. The plain size is false for one that no file can have. */
uint64_t sing_sealed_size(uint64_t plain);
bool sing_plain_size(uint64_t sealed, uint64_t *plain);

#ifdef __cplusplus
}
#endif

#endif
