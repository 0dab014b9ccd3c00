/* Nettle's sums use the instructions that processors have for them. */
#include <stdio.h>

#include "digest.h"

void sing_digest_begin(struct sing_digest *digest, enum sing_digest_kind kind)
{
	digest->kind = kind;
	switch (kind) {
	case SING_DIGEST_NONE:
		break;
	case SING_DIGEST_SHA256:
		sha256_init(&digest->sha256);
		break;
	case SING_DIGEST_SHA512:
		sha512_init(&digest->sha512);
		break;
	}
}

void sing_digest_update(struct sing_digest *digest, const void *data, size_t size)
{
	switch (digest->kind) {
	case SING_DIGEST_NONE:
		break;
	case SING_DIGEST_SHA256:
		sha256_update(&digest->sha256, size, data);
		break;
	case SING_DIGEST_SHA512:
		sha512_update(&digest->sha512, size, data);
		break;
	}
}

void sing_digest_end(struct sing_digest *digest, char text[SING_DIGEST_TEXT])
{
	uint8_t sum[SHA512_DIGEST_SIZE];
	size_t size = 0;

	switch (digest->kind) {
	case SING_DIGEST_NONE:
		break;
	case SING_DIGEST_SHA256:
		size = SHA256_DIGEST_SIZE;
		sha256_digest(&digest->sha256, size, sum);
		break;
	case SING_DIGEST_SHA512:
		size = SHA512_DIGEST_SIZE;
		sha512_digest(&digest->sha512, size, sum);
		break;
	}
	text[0] = '\0';
	for (size_t i = 0; i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", sum[i]);
}
