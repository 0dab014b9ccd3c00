/* Puts the encrypting file, and the casing around it, into their places. */
#include <errno.h>
#include <sys/random.h>

#include <sqfs/error.h>

#include "casing.h"
#include "cipher.h"
#include "encrypted.h"
#include "file.h"
#include "release.h"
#include "window.h"

enum { ALIGNMENT = 4096 };

int sing_encrypted_begin(int fd, uint64_t offset, const struct sing_encryption *encryption, sqfs_file_t **out)
{
	sqfs_file_t *window;
	uint8_t id[SING_SEAL_ID];
	int error;

	if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id)
		return errno;
	window = sing_window_open(fd, offset + SING_CASING_START, UINT64_MAX, true);
	if (window == NULL)
		return ENOMEM;
	error = sing_cipher_create(window, encryption->key, id, out);
	if (error != 0)
		sing_release(window);
	return error;
}

static int write_around(sqfs_file_t *window, const struct sing_casing *casing, uint64_t *size)
{
	int error = sing_casing_write(window, casing);

	if (error != 0)
		return error;
	*size = (window->get_size(window) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return window->truncate(window, *size);
}

int sing_encrypted_end(sqfs_file_t *file, int fd, uint64_t offset, const struct sing_encryption *encryption,
		       uint32_t time, uint64_t *size)
{
	const struct sing_casing casing = {
		.name = encryption->name,
		.size = sing_sealed_size(file->get_size(file)),
		.configuration = encryption->configuration,
		.configuration_size = encryption->configuration_size,
		.time = time,
	};
	sqfs_file_t *window;
	int error = sing_cipher_flush(file);

	if (error != 0)
		return sing_file_reason(file, error);
	window = sing_window_resume(fd, offset, SING_CASING_START + casing.size);
	if (window == NULL)
		return ENOMEM;
	error = sing_file_reason(window, write_around(window, &casing, size));
	sing_release(window);
	return error;
}
