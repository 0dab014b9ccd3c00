/* Reads the key, and puts the files together that make plain bytes of an image. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sqfs/error.h>

#include "cipher.h"
#include "failure.h"
#include "pieces.h"
#include "plain.h"
#include "release.h"
#include "window.h"

static const char magic[8] = "SINGKEY1";

/* As it lies in the file: every field at its natural place. */
struct record {
	char magic[sizeof magic];
	uint8_t key[SING_SEAL_KEY];
	uint32_t count;
	uint32_t none;
	struct sing_piece pieces[SING_PIECES_MOST];
};

static int read_record(int fd, struct record *record)
{
	ssize_t got;

	memset(record, 0, sizeof *record);
	do
		got = pread(fd, record, sizeof *record, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno;
	record->count = le32toh(record->count);
	if (memcmp(record->magic, magic, sizeof magic) != 0 || record->none != 0 || record->count > SING_PIECES_MOST ||
	    (size_t)got != offsetof(struct record, pieces) + record->count * sizeof *record->pieces)
		return SING_KEY;
	for (size_t i = 0; i < SING_PIECES_MOST; i++) {
		record->pieces[i].offset = le64toh(record->pieces[i].offset);
		record->pieces[i].size = le64toh(record->pieces[i].size);
	}
	return 0;
}

/* Each step owns what is below it; what no step has taken is given back. */
static int open_cipher(sqfs_file_t *window, int key, sqfs_file_t **out)
{
	struct record record;
	sqfs_file_t *below = window;
	int error = read_record(key, &record);

	if (error == 0)
		error = sing_pieces_open(window, record.pieces, record.count, &below);
	if (error == 0)
		error = sing_cipher_open(below, record.key, out);
	explicit_bzero(&record, sizeof record);
	if (error != 0)
		sing_release(below);
	return error;
}

int sing_plain_open(int fd, uint64_t offset, uint64_t size, int key, sqfs_file_t **out)
{
	sqfs_file_t *window = sing_window_open(fd, offset, size, false);

	*out = NULL;
	if (window == NULL)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	if (key != SING_NO_KEY)
		return open_cipher(window, key, out);
	*out = window;
	return 0;
}
