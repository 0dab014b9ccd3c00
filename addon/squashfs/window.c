/* The window onto a file: pread and pwrite at a fixed distance, with bounds. Knows nothing of squashfs. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqfs/error.h>

#include "file.h"
#include "window.h"

struct window {
	struct sing_file file;
	int fd;
	bool writable;
	uint64_t offset;
	uint64_t limit;
	uint64_t size;
	/* atomic: several threads may read and fail at once */
	_Atomic int error;
};

static int failed(struct window *window, int error)
{
	atomic_store(&window->error, error);
	return SQFS_ERROR_IO;
}

static bool contains(uint64_t length, uint64_t position, uint64_t size)
{
	return position <= length && size <= length - position;
}

static int read_at(sqfs_file_t *file, sqfs_u64 position, void *buffer, size_t size)
{
	struct window *window = (struct window *)file;
	char *to = buffer;

	if (!contains(window->size, position, size))
		return SQFS_ERROR_OUT_OF_BOUNDS;
	while (size > 0) {
		ssize_t got = pread(window->fd, to, size, (off_t)(window->offset + position));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return failed(window, errno);
		if (got == 0)
			return SQFS_ERROR_OUT_OF_BOUNDS;
		to += got;
		position += (uint64_t)got;
		size -= (size_t)got;
	}
	return 0;
}

static int write_bytes(struct window *window, uint64_t position, const void *buffer, size_t size)
{
	const char *from = buffer;

	while (size > 0) {
		ssize_t put = pwrite(window->fd, from, size, (off_t)(window->offset + position));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return failed(window, errno);
		from += put;
		position += (uint64_t)put;
		size -= (size_t)put;
	}
	return 0;
}

/* Zeros are written, not left as a hole: the file may hold bytes of blocks that were taken back. */
static int grow(struct window *window, uint64_t size)
{
	static const char zeros[4096];

	while (window->size < size) {
		uint64_t missing = size - window->size;
		size_t step = missing < sizeof zeros ? (size_t)missing : sizeof zeros;
		int error = write_bytes(window, window->size, zeros, step);

		if (error != 0)
			return error;
		window->size += step;
	}
	return 0;
}

static int write_at(sqfs_file_t *file, sqfs_u64 position, const void *buffer, size_t size)
{
	struct window *window = (struct window *)file;
	int error;

	if (!window->writable)
		return failed(window, EBADF);
	if (!contains(window->limit, position, size))
		return failed(window, EFBIG);
	error = grow(window, position);
	if (error == 0)
		error = write_bytes(window, position, buffer, size);
	if (error == 0 && position + size > window->size)
		window->size = position + size;
	return error;
}

static sqfs_u64 get_size(const sqfs_file_t *file)
{
	return ((const struct window *)file)->size;
}

/* Only the window shrinks: what lies behind it in the file is the owner's to cut off. */
static int truncate_window(sqfs_file_t *file, sqfs_u64 size)
{
	struct window *window = (struct window *)file;

	if (!window->writable)
		return failed(window, EBADF);
	if (size > window->limit)
		return failed(window, EFBIG);
	if (size <= window->size) {
		window->size = size;
		return 0;
	}
	return grow(window, size);
}

static int last_errno(const sqfs_file_t *file)
{
	return atomic_load(&((const struct window *)file)->error);
}

static void destroy(sqfs_object_t *object)
{
	free(object);
}

static sqfs_object_t *copy(const sqfs_object_t *object)
{
	const struct window *window = (const struct window *)object;

	return (sqfs_object_t *)sing_window_open(window->fd, window->offset, window->limit, window->writable);
}

sqfs_file_t *sing_window_open(int fd, uint64_t offset, uint64_t size, bool writable)
{
	struct window *window;

	if (offset > INT64_MAX)
		return NULL;
	if (writable && size > INT64_MAX - offset)
		size = INT64_MAX - offset;
	if (size > INT64_MAX - offset)
		return NULL;
	window = calloc(1, sizeof *window);
	if (window == NULL)
		return NULL;
	window->file = (struct sing_file){
		.base = {
			.base = { .destroy = destroy, .copy = copy },
			.read_at = read_at,
			.write_at = write_at,
			.get_size = get_size,
			.truncate = truncate_window,
		},
		.last_errno = last_errno,
	};
	window->fd = fd;
	window->writable = writable;
	window->offset = offset;
	window->limit = size;
	window->size = writable ? 0 : size;
	return &window->file.base;
}

sqfs_file_t *sing_window_resume(int fd, uint64_t offset, uint64_t size)
{
	sqfs_file_t *file = sing_window_open(fd, offset, UINT64_MAX, true);
	struct window *window = (struct window *)file;

	if (window != NULL && size > window->limit) {
		destroy((sqfs_object_t *)file);
		return NULL;
	}
	if (window != NULL)
		window->size = size;
	return file;
}
