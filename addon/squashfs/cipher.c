/* Reads encrypted files: whole blocks straight to where they are wanted, parts of blocks by way of a block of our own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqfs/error.h>

#include "cipher.h"
#include "failure.h"
#include "file.h"
#include "release.h"

/* Blocks that are read at once: half a block of data of most images is more, but it lies on the stack of small threads. */
enum { AT_ONCE = 8 };

struct cipher {
	struct sing_file file;
	sqfs_file_t *below;
	uint64_t sealed_size;
	uint64_t size;
	struct sing_seal seal;
};

/* Open one block that was read, and hand out `size` of its bytes from `skip` on. */
static int give(const struct cipher *cipher, uint64_t number, const uint8_t *sealed, size_t skip, uint8_t *to, size_t size)
{
	uint64_t rest = cipher->size - number * SING_SEAL_PLAIN;
	size_t length = rest < SING_SEAL_PLAIN ? (size_t)rest : SING_SEAL_PLAIN;
	uint8_t block[SING_SEAL_PLAIN];

	if (size == length)
		return sing_seal_open(&cipher->seal, number, sealed, length + SING_SEAL_MORE, to) ? 0 : SING_FORGED;
	if (!sing_seal_open(&cipher->seal, number, sealed, length + SING_SEAL_MORE, block))
		return SING_FORGED;
	memcpy(to, block + skip, size);
	return 0;
}

static uint64_t place_of(uint64_t number)
{
	return SING_SEAL_HEADER + number * SING_SEAL_BLOCK;
}

/* Read what `position` and up to `size` bytes behind it lie in, as far as the buffer goes. Returns the number of bytes. */
static int read_some(const struct cipher *cipher, uint64_t position, uint8_t *to, size_t size, size_t *done)
{
	uint8_t sealed[AT_ONCE * SING_SEAL_BLOCK];
	uint64_t first = position / SING_SEAL_PLAIN;
	uint64_t behind = (position + size - 1) / SING_SEAL_PLAIN + 1;
	size_t count = behind - first < AT_ONCE ? (size_t)(behind - first) : AT_ONCE;
	uint64_t rest = cipher->sealed_size - place_of(first);
	size_t length = rest < count * SING_SEAL_BLOCK ? (size_t)rest : count * SING_SEAL_BLOCK;
	int error = cipher->below->read_at(cipher->below, place_of(first), sealed, length);

	*done = 0;
	for (size_t i = 0; error == 0 && i < count; i++) {
		size_t skip = i == 0 ? position % SING_SEAL_PLAIN : 0;
		size_t step = SING_SEAL_PLAIN - skip < size - *done ? SING_SEAL_PLAIN - skip : size - *done;

		error = give(cipher, first + i, sealed + i * SING_SEAL_BLOCK, skip, to + *done, step);
		*done += step;
	}
	return error;
}

static int read_at(sqfs_file_t *file, sqfs_u64 position, void *buffer, size_t size)
{
	const struct cipher *cipher = (const struct cipher *)file;
	uint8_t *to = buffer;

	if (position > cipher->size || size > cipher->size - position)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	while (size > 0) {
		size_t done;
		int error = read_some(cipher, position, to, size, &done);

		if (error != 0)
			return error;
		to += done;
		position += done;
		size -= done;
	}
	return 0;
}

static sqfs_u64 get_size(const sqfs_file_t *file)
{
	return ((const struct cipher *)file)->size;
}

static int last_errno(const sqfs_file_t *file)
{
	return sing_file_errno(((const struct cipher *)file)->below);
}

static void destroy(sqfs_object_t *object)
{
	struct cipher *cipher = (struct cipher *)object;

	sing_release(cipher->below);
	sing_seal_wipe(&cipher->seal);
	free(cipher);
}

static sqfs_object_t *copy(const sqfs_object_t *object)
{
	const struct cipher *cipher = (const struct cipher *)object;
	struct cipher *twin = malloc(sizeof *twin);

	if (twin == NULL)
		return NULL;
	*twin = *cipher;
	twin->below = sqfs_copy(cipher->below);
	if (twin->below != NULL)
		return (sqfs_object_t *)twin;
	sing_seal_wipe(&twin->seal);
	free(twin);
	return NULL;
}

static int begin(struct cipher *cipher, sqfs_file_t *below, const uint8_t *key)
{
	uint8_t header[SING_SEAL_HEADER], id[SING_SEAL_ID];
	int error;

	cipher->sealed_size = below->get_size(below);
	if (!sing_plain_size(cipher->sealed_size, &cipher->size) || cipher->size == 0)
		return SING_FORGED;
	error = below->read_at(below, 0, header, sizeof header);
	if (error != 0)
		return sing_file_reason(below, error);
	if (!sing_seal_read_header(header, id))
		return SING_FORGED;
	sing_seal_init(&cipher->seal, key, id);
	cipher->below = below;
	return 0;
}

int sing_cipher_open(sqfs_file_t *below, const uint8_t key[SING_SEAL_KEY], sqfs_file_t **out)
{
	struct cipher *cipher = calloc(1, sizeof *cipher);
	int error;

	if (cipher == NULL)
		return ENOMEM;
	error = begin(cipher, below, key);
	if (error != 0) {
		free(cipher);
		return error;
	}
	cipher->file = (struct sing_file){
		.base = {
			.base = { .destroy = destroy, .copy = copy },
			.read_at = read_at,
			.write_at = sing_file_no_write,
			.get_size = get_size,
			.truncate = sing_file_no_truncate,
		},
		.last_errno = last_errno,
	};
	*out = &cipher->file.base;
	return 0;
}
