/* The sum of bytes while they pass. */
#ifndef SING_DIGEST_H
#define SING_DIGEST_H

#include <stddef.h>

#include <nettle/sha2.h>

enum sing_digest_kind { SING_DIGEST_NONE, SING_DIGEST_SHA256, SING_DIGEST_SHA512 };
enum { SING_DIGEST_TEXT = 2 * SHA512_DIGEST_SIZE + 1 };

struct sing_digest {
	enum sing_digest_kind kind;
	union {
		struct sha256_ctx sha256;
		struct sha512_ctx sha512;
	};
};

void sing_digest_begin(struct sing_digest *digest, enum sing_digest_kind kind);
void sing_digest_update(struct sing_digest *digest, const void *data, size_t size);

/* The sum in hexadecimal digits; empty without a kind. */
void sing_digest_end(struct sing_digest *digest, char text[SING_DIGEST_TEXT]);

#endif
