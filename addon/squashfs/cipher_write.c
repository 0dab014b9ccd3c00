/*
 * Writes encrypted files. A block is sealed when it is left: until then it lies here, plain, so that what comes bit by bit is
 * sealed once. Whole blocks never lie here. Blocks that follow one another are written together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <sqfs/error.h>

#include "cipher.h"
#include "failure.h"
#include "file.h"
#include "release.h"

enum { TOGETHER = 32, NONCES = 16 };

static const uint64_t none = UINT64_MAX;

struct cipher {
	struct sing_file file;
	sqfs_file_t *below;
	uint64_t size;
	struct sing_seal seal;
	int error; /* errno of what has no system call below */

	uint64_t number; /* of the block that is open, or none */
	bool changed;
	uint8_t block[SING_SEAL_PLAIN];

	uint64_t first; /* of the blocks that are sealed and not written */
	size_t sealed;  /* their bytes */
	uint8_t run[TOGETHER * SING_SEAL_BLOCK];

	size_t unused; /* nonces */
	uint8_t nonces[NONCES][SING_SEAL_NONCE];
};

static uint64_t place_of(uint64_t number)
{
	return SING_SEAL_HEADER + number * SING_SEAL_BLOCK;
}

/* Bytes of the file that are in a block. */
static size_t length_of(const struct cipher *cipher, uint64_t number)
{
	uint64_t start = number * SING_SEAL_PLAIN;
	uint64_t rest = cipher->size > start ? cipher->size - start : 0;

	return rest < SING_SEAL_PLAIN ? (size_t)rest : SING_SEAL_PLAIN;
}

/* Random ones, for there is no telling which were used: a block may be written again. NULL when the system has none. */
static const uint8_t *next_nonce(struct cipher *cipher)
{
	if (cipher->unused == 0) {
		/* so few come at once, or not at all (getrandom(2)) */
		if (getrandom(cipher->nonces, sizeof cipher->nonces, 0) != (ssize_t)sizeof cipher->nonces)
			return NULL;
		cipher->unused = NONCES;
	}
	return cipher->nonces[--cipher->unused];
}

static int write_run(struct cipher *cipher)
{
	size_t size = cipher->sealed;

	cipher->sealed = 0;
	if (size == 0)
		return 0;
	return cipher->below->write_at(cipher->below, place_of(cipher->first), cipher->run, size);
}

static int seal_block(struct cipher *cipher, uint64_t number, const uint8_t *plain, size_t size)
{
	bool fits = cipher->sealed + SING_SEAL_BLOCK <= sizeof cipher->run &&
		    place_of(number) == place_of(cipher->first) + cipher->sealed;
	int error = fits ? 0 : write_run(cipher);
	const uint8_t *nonce = next_nonce(cipher);

	if (nonce == NULL) {
		cipher->error = errno;
		return SQFS_ERROR_IO;
	}
	if (cipher->sealed == 0)
		cipher->first = number;
	sing_seal_close(&cipher->seal, number, nonce, plain, size, cipher->run + cipher->sealed);
	cipher->sealed += size + SING_SEAL_MORE;
	return error;
}

/* Let go of the open block. */
static int leave(struct cipher *cipher)
{
	uint64_t number = cipher->number;
	bool changed = cipher->changed;

	cipher->number = none;
	cipher->changed = false;
	if (number == none || !changed || length_of(cipher, number) == 0)
		return 0;
	return seal_block(cipher, number, cipher->block, length_of(cipher, number));
}

/* Read what was sealed and written of a block. */
static int load(struct cipher *cipher, uint64_t number, uint8_t *plain)
{
	uint8_t sealed[SING_SEAL_BLOCK];
	size_t size = length_of(cipher, number) + SING_SEAL_MORE;
	int error = write_run(cipher);

	if (error == 0)
		error = cipher->below->read_at(cipher->below, place_of(number), sealed, size);
	if (error != 0)
		return error;
	return sing_seal_open(&cipher->seal, number, sealed, size, plain) ? 0 : SING_FORGED;
}

static int enter(struct cipher *cipher, uint64_t number)
{
	int error = 0;

	if (cipher->number == number)
		return 0;
	error = leave(cipher);
	memset(cipher->block, 0, sizeof cipher->block);
	if (error == 0 && length_of(cipher, number) > 0)
		error = load(cipher, number, cipher->block);
	if (error == 0)
		cipher->number = number;
	return error;
}

static int read_at(sqfs_file_t *file, sqfs_u64 position, void *buffer, size_t size)
{
	struct cipher *cipher = (struct cipher *)file;
	uint8_t *to = buffer;

	if (position > cipher->size || size > cipher->size - position)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	while (size > 0) {
		size_t skip = position % SING_SEAL_PLAIN;
		size_t step = SING_SEAL_PLAIN - skip < size ? SING_SEAL_PLAIN - skip : size;
		uint8_t block[SING_SEAL_PLAIN];
		bool open = cipher->number == position / SING_SEAL_PLAIN;
		int error = open ? 0 : load(cipher, position / SING_SEAL_PLAIN, block);

		if (error != 0)
			return error;
		memcpy(to, (open ? cipher->block : block) + skip, step);
		to += step;
		position += step;
		size -= step;
	}
	return 0;
}

/* Write into one block. */
static int write_block(struct cipher *cipher, uint64_t position, const uint8_t *from, size_t size)
{
	uint64_t number = position / SING_SEAL_PLAIN;
	int error = 0;

	if (size < SING_SEAL_PLAIN) {
		error = enter(cipher, number);
		if (error != 0)
			return error;
		memcpy(cipher->block + position % SING_SEAL_PLAIN, from, size);
		cipher->changed = true;
	} else if (cipher->number == number) {
		cipher->number = none;
		cipher->changed = false;
	} else {
		error = leave(cipher);
	}
	if (position + size > cipher->size)
		cipher->size = position + size;
	if (error == 0 && size == SING_SEAL_PLAIN)
		error = seal_block(cipher, number, from, size);
	return error;
}

static int write_bytes(struct cipher *cipher, uint64_t position, const uint8_t *from, size_t size)
{
	while (size > 0) {
		size_t room = SING_SEAL_PLAIN - position % SING_SEAL_PLAIN;
		size_t step = room < size ? room : size;
		int error = write_block(cipher, position, from, step);

		if (error != 0)
			return error;
		from += step;
		position += step;
		size -= step;
	}
	return 0;
}

static int grow(struct cipher *cipher, uint64_t size)
{
	static const uint8_t zeros[SING_SEAL_PLAIN];
	int error = 0;

	while (error == 0 && cipher->size < size) {
		uint64_t missing = size - cipher->size;

		error = write_bytes(cipher, cipher->size, zeros, missing < sizeof zeros ? (size_t)missing : sizeof zeros);
	}
	return error;
}

static int write_at(sqfs_file_t *file, sqfs_u64 position, const void *buffer, size_t size)
{
	struct cipher *cipher = (struct cipher *)file;
	int error = grow(cipher, position);

	return error != 0 ? error : write_bytes(cipher, position, buffer, size);
}

static sqfs_u64 get_size(const sqfs_file_t *file)
{
	return ((const struct cipher *)file)->size;
}

/* A block that loses its end is sealed anew, without it. */
static int truncate_cipher(sqfs_file_t *file, sqfs_u64 size)
{
	struct cipher *cipher = (struct cipher *)file;
	size_t kept = size % SING_SEAL_PLAIN;
	int error;

	if (size >= cipher->size)
		return grow(cipher, size);
	if (kept > 0) {
		error = enter(cipher, size / SING_SEAL_PLAIN);
		if (error != 0)
			return error;
		memset(cipher->block + kept, 0, SING_SEAL_PLAIN - kept);
		cipher->changed = true;
	} else if (cipher->number != none && cipher->number >= size / SING_SEAL_PLAIN) {
		cipher->number = none;
		cipher->changed = false;
	}
	cipher->size = size;
	return 0;
}

static int last_errno(const sqfs_file_t *file)
{
	const struct cipher *cipher = (const struct cipher *)file;

	return cipher->error != 0 ? cipher->error : sing_file_errno(cipher->below);
}

static void destroy(sqfs_object_t *object)
{
	struct cipher *cipher = (struct cipher *)object;

	sing_release(cipher->below);
	explicit_bzero(cipher, sizeof *cipher);
	free(cipher);
}

/* There is one writer. */
static sqfs_object_t *copy(const sqfs_object_t *object)
{
	(void)object;
	return NULL;
}

int sing_cipher_create(sqfs_file_t *below, const uint8_t key[SING_SEAL_KEY], const uint8_t id[SING_SEAL_ID],
		       sqfs_file_t **out)
{
	struct cipher *cipher = calloc(1, sizeof *cipher);
	uint8_t header[SING_SEAL_HEADER];
	int error;

	if (cipher == NULL)
		return ENOMEM;
	sing_seal_write_header(id, header);
	error = below->write_at(below, 0, header, sizeof header);
	if (error != 0) {
		free(cipher);
		return sing_file_reason(below, error);
	}
	cipher->file = (struct sing_file){
		.base = {
			.base = { .destroy = destroy, .copy = copy },
			.read_at = read_at,
			.write_at = write_at,
			.get_size = get_size,
			.truncate = truncate_cipher,
		},
		.last_errno = last_errno,
	};
	cipher->below = below;
	cipher->number = none;
	sing_seal_init(&cipher->seal, key, id);
	*out = &cipher->file.base;
	return 0;
}

int sing_cipher_flush(sqfs_file_t *file)
{
	struct cipher *cipher = (struct cipher *)file;
	int error = leave(cipher);

	return error != 0 ? error : write_run(cipher);
}
