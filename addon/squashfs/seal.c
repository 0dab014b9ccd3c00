/* Seals blocks and opens them, with AES-GCM of nettle. */
#include <string.h>

#include <nettle/memops.h>

#include "seal.h"

enum { VERSION = 2 };

void sing_seal_init(struct sing_seal *seal, const uint8_t key[SING_SEAL_KEY], const uint8_t id[SING_SEAL_ID])
{
	aes256_set_encrypt_key(&seal->cipher, key);
	gcm_set_key(&seal->hash, &seal->cipher, (nettle_cipher_func *)aes256_encrypt);
	memcpy(seal->id, id, SING_SEAL_ID);
}

void sing_seal_wipe(struct sing_seal *seal)
{
	explicit_bzero(seal, sizeof *seal);
}

static void put_big(uint8_t *to, uint64_t value, size_t size)
{
	while (size-- > 0) {
		to[size] = (uint8_t)value;
		value >>= 8;
	}
}

/* The state for one block: nonce, and what the tag covers beside the data. */
static void begin(const struct sing_seal *seal, uint64_t number, const uint8_t *nonce, struct gcm_ctx *state)
{
	uint8_t bound[8 + SING_SEAL_ID];

	put_big(bound, number, 8);
	memcpy(bound + 8, seal->id, SING_SEAL_ID);
	gcm_set_iv(state, &seal->hash, SING_SEAL_NONCE, nonce);
	gcm_update(state, &seal->hash, sizeof bound, bound);
}

void sing_seal_close(const struct sing_seal *seal, uint64_t number, const uint8_t nonce[SING_SEAL_NONCE],
		     const uint8_t *plain, size_t size, uint8_t *sealed)
{
	nettle_cipher_func *encrypt = (nettle_cipher_func *)aes256_encrypt;
	uint8_t *data = sealed + SING_SEAL_NONCE;
	struct gcm_ctx state;

	memcpy(sealed, nonce, SING_SEAL_NONCE);
	begin(seal, number, nonce, &state);
	gcm_encrypt(&state, &seal->hash, &seal->cipher, encrypt, size, data, plain);
	gcm_digest(&state, &seal->hash, &seal->cipher, encrypt, SING_SEAL_TAG, data + size);
}

bool sing_seal_open(const struct sing_seal *seal, uint64_t number, const uint8_t *sealed, size_t size, uint8_t *plain)
{
	nettle_cipher_func *encrypt = (nettle_cipher_func *)aes256_encrypt;
	const uint8_t *data = sealed + SING_SEAL_NONCE;
	size_t length = size - SING_SEAL_MORE;
	uint8_t tag[SING_SEAL_TAG];
	struct gcm_ctx state;

	begin(seal, number, sealed, &state);
	gcm_decrypt(&state, &seal->hash, &seal->cipher, encrypt, length, plain, data);
	gcm_digest(&state, &seal->hash, &seal->cipher, encrypt, sizeof tag, tag);
	if (memeql_sec(tag, data + length, sizeof tag))
		return true;
	memset(plain, 0, length);
	return false;
}

void sing_seal_write_header(const uint8_t id[SING_SEAL_ID], uint8_t header[SING_SEAL_HEADER])
{
	put_big(header, VERSION, 2);
	memcpy(header + 2, id, SING_SEAL_ID);
}

bool sing_seal_read_header(const uint8_t header[SING_SEAL_HEADER], uint8_t id[SING_SEAL_ID])
{
	memcpy(id, header + 2, SING_SEAL_ID);
	return header[0] == 0 && header[1] == VERSION;
}

uint64_t sing_sealed_size(uint64_t plain)
{
	uint64_t blocks = plain / SING_SEAL_PLAIN + (plain % SING_SEAL_PLAIN != 0);

	return plain == 0 ? 0 : SING_SEAL_HEADER + plain + blocks * SING_SEAL_MORE;
}

bool sing_plain_size(uint64_t sealed, uint64_t *plain)
{
	uint64_t body = sealed - SING_SEAL_HEADER;
	uint64_t rest = body % SING_SEAL_BLOCK;

	*plain = 0;
	if (sealed == 0)
		return true;
	if (sealed <= SING_SEAL_HEADER || (rest > 0 && rest <= SING_SEAL_MORE))
		return false;
	*plain = body / SING_SEAL_BLOCK * SING_SEAL_PLAIN + (rest > 0 ? rest - SING_SEAL_MORE : 0);
	return true;
}
