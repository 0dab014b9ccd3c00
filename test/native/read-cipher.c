/*
 * Reads an encrypted file: each line of stdin has the key in hexadecimal, a path, a place in the plain contents and a number
 * of bytes; the same line of stdout has the bytes in hexadecimal, or what is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "squashfs/cipher.h"
#include "squashfs/failure.h"
#include "squashfs/window.h"

static sqfs_file_t *open_cipher(int fd, const uint8_t *key, int *error)
{
	struct stat status;
	sqfs_file_t *below, *file = NULL;

	fstat(fd, &status);
	below = sing_window_open(fd, 0, (uint64_t)status.st_size, false);
	*error = below == NULL ? ENOMEM : sing_cipher_open(below, key, &file);
	if (*error != 0 && below != NULL)
		sqfs_destroy(below);
	return file;
}

/* A copy reads, as it does for the threads of a reader. */
static int read_copy(const sqfs_file_t *file, uint64_t place, uint8_t *bytes, size_t size)
{
	sqfs_file_t *copy = sqfs_copy(file);
	int error = copy == NULL ? ENOMEM : copy->read_at(copy, place, bytes, size);

	if (copy != NULL)
		sqfs_destroy(copy);
	return error;
}

static int answer(const char *path, const uint8_t *key, uint64_t place, size_t size)
{
	uint8_t *bytes = calloc(1, size + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error;
	sqfs_file_t *file = open_cipher(fd, key, &error);

	if (error == 0)
		error = read_copy(file, place, bytes, size);
	for (size_t i = 0; error == 0 && i < size; i++)
		printf("%02x", bytes[i]);
	puts(error == 0 ? "" : sing_reason(error));
	if (file != NULL)
		sqfs_destroy(file);
	close(fd);
	free(bytes);
	return 0;
}

int main(void)
{
	char line[8192], path[4096], text[2 * SING_SEAL_KEY + 1];
	uint8_t key[SING_SEAL_KEY];
	uint64_t place;
	size_t size;

	while (fgets(line, sizeof line, stdin) != NULL) {
		if (sscanf(line, "%64s %4095s %" SCNu64 " %zu", text, path, &place, &size) != 4)
			return 2;
		for (size_t i = 0; i < sizeof key; i++)
			if (sscanf(text + 2 * i, "%2hhx", &key[i]) != 1)
				return 2;
		answer(path, key, place, size);
	}
	return 0;
}
