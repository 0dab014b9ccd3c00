/*
 * Writes an encrypted file: the arguments are a path and the key in hexadecimal. Each line of stdin is `write PLACE BYTES` with bytes in
 * hexadecimal, `fill PLACE SIZE VALUE`, `truncate SIZE`, `read PLACE SIZE`, which answers with the bytes, or `sealed PLACE SIZE`, which answers
 * with those of the file below. What is wrong is answered, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "squashfs/cipher.h"
#include "squashfs/failure.h"
#include "squashfs/file.h"
#include "squashfs/window.h"

enum { MOST = 1024 * 1024 };

static uint8_t bytes[MOST];

static size_t from_hex(const char *text, uint8_t *to)
{
	size_t size = 0;

	while (size < MOST && sscanf(text + 2 * size, "%2hhx", &to[size]) == 1)
		size++;
	return size;
}

static void say(const sqfs_file_t *file, int error)
{
	if (error != 0)
		puts(sing_reason(sing_file_reason(file, error)));
}

static void print(const sqfs_file_t *file, int error, size_t size)
{
	for (size_t i = 0; error == 0 && i < size; i++)
		printf("%02x", bytes[i]);
	if (error == 0)
		puts("");
	say(file, error);
}

/* As it is when all that was written lies there. */
static int read_below(sqfs_file_t *file, sqfs_file_t *below, uint64_t place, size_t size)
{
	int error = sing_cipher_flush(file);

	return error != 0 ? error : below->read_at(below, place, bytes, size);
}

static void perform(sqfs_file_t *file, sqfs_file_t *below, char *line)
{
	uint64_t place, size, value;
	int at = 0;

	if (sscanf(line, "write %" SCNu64 " %n", &place, &at) == 1 && at > 0)
		say(file, file->write_at(file, place, bytes, from_hex(line + at, bytes)));
	else if (sscanf(line, "fill %" SCNu64 " %" SCNu64 " %" SCNu64, &place, &size, &value) == 3 && size <= MOST)
		say(file, file->write_at(file, place, memset(bytes, (int)value, size), size));
	else if (sscanf(line, "truncate %" SCNu64, &size) == 1)
		say(file, file->truncate(file, size));
	else if (sscanf(line, "read %" SCNu64 " %" SCNu64, &place, &size) == 2 && size <= MOST)
		print(file, file->read_at(file, place, bytes, size), size);
	else if (sscanf(line, "sealed %" SCNu64 " %" SCNu64, &place, &size) == 2 && size <= MOST)
		print(file, read_below(file, below, place, size), size);
	else
		exit(2);
}

int main(int argc, char **argv)
{
	static char line[2 * MOST + 64];
	static const uint8_t id[SING_SEAL_ID] = { 1, 2, 3 };
	uint8_t *key = calloc(1, MOST);
	int fd = argc == 3 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	sqfs_file_t *below = fd < 0 ? NULL : sing_window_open(fd, 0, UINT64_MAX, true);
	sqfs_file_t *file = NULL;
	int error;

	if (below == NULL || key == NULL || from_hex(argv[2], key) != SING_SEAL_KEY)
		return 2;
	error = sing_cipher_create(below, key, id, &file);
	if (error != 0) {
		puts(sing_reason(error));
		sqfs_destroy(below);
	}
	while (error == 0 && fgets(line, sizeof line, stdin) != NULL)
		perform(file, below, line);
	if (error == 0) {
		say(file, sing_cipher_flush(file));
		error = ftruncate(fd, (off_t)sing_sealed_size(file->get_size(file)));
		sqfs_destroy(file);
	}
	close(fd);
	free(key);
	return error;
}
