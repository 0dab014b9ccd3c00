/* What the files that we give to libsquashfs have in common: they know the errno behind an SQFS_ERROR_IO. */
#ifndef SING_FILE_H
#define SING_FILE_H

#include <stddef.h>

#include <sqfs/error.h>
#include <sqfs/io.h>

/* First in each of them. */
struct sing_file {
	sqfs_file_t base;
	/* the errno of the last system call that failed, 0 when none did */
	int (*last_errno)(const sqfs_file_t *file);
};

static inline int sing_file_errno(const sqfs_file_t *file)
{
	return ((const struct sing_file *)file)->last_errno(file);
}

/* What a file that is only read does instead of writing. */
static inline int sing_file_no_write(sqfs_file_t *file, sqfs_u64 position, const void *buffer, size_t size)
{
	(void)file;
	(void)position;
	(void)buffer;
	(void)size;
	return SQFS_ERROR_UNSUPPORTED;
}

static inline int sing_file_no_truncate(sqfs_file_t *file, sqfs_u64 size)
{
	(void)file;
	(void)size;
	return SQFS_ERROR_UNSUPPORTED;
}

/* An error of an access to the file (NULL: to none yet), as an errno where a system call is behind it. */
static inline int sing_file_reason(const sqfs_file_t *file, int error)
{
	int system = error == SQFS_ERROR_IO && file != NULL ? sing_file_errno(file) : 0;

	return system != 0 ? system : error;
}

#endif
