/* Waits for bytes and reads them; never further than it was told, because what is behind may be written this moment. */
#include <errno.h>
#include <unistd.h>

#include "source.h"
#include "squashfs/failure.h"

void sing_source_open(struct sing_source *source, int fd, uint64_t offset)
{
	*source = (struct sing_source){ .fd = fd, .offset = offset };
	pthread_mutex_init(&source->lock, NULL);
	pthread_cond_init(&source->changed, NULL);
}

void sing_source_advance(struct sing_source *source, uint64_t available)
{
	pthread_mutex_lock(&source->lock);
	if (!source->complete && available > source->available)
		source->available = available;
	pthread_cond_broadcast(&source->changed);
	pthread_mutex_unlock(&source->lock);
}

void sing_source_complete(struct sing_source *source, uint64_t size)
{
	pthread_mutex_lock(&source->lock);
	source->available = size;
	source->complete = true;
	pthread_cond_broadcast(&source->changed);
	pthread_mutex_unlock(&source->lock);
}

void sing_source_stop(struct sing_source *source, int reason)
{
	pthread_mutex_lock(&source->lock);
	if (source->stopped == 0)
		source->stopped = reason;
	pthread_cond_broadcast(&source->changed);
	pthread_mutex_unlock(&source->lock);
}

int sing_source_stopped(struct sing_source *source)
{
	int reason;

	pthread_mutex_lock(&source->lock);
	reason = source->stopped;
	pthread_mutex_unlock(&source->lock);
	return reason;
}

/* Bytes that can be read at `position`; 0 at the end. */
static uint64_t wait_for_bytes(struct sing_source *source, uint64_t position, int *reason)
{
	uint64_t left = 0;

	pthread_mutex_lock(&source->lock);
	while (source->stopped == 0 && !source->complete && source->available <= position)
		pthread_cond_wait(&source->changed, &source->lock);
	*reason = source->stopped;
	if (source->available > position)
		left = source->available - position;
	pthread_mutex_unlock(&source->lock);
	return left;
}

ssize_t sing_source_read(struct sing_source *source, uint64_t position, void *buffer, size_t size, int *reason)
{
	uint64_t left = wait_for_bytes(source, position, reason);
	ssize_t got;

	if (*reason != 0)
		return -1;
	if (left == 0)
		return 0;
	do
		got = pread(source->fd, buffer, left < size ? (size_t)left : size, (off_t)(source->offset + position));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		*reason = errno;
	if (got == 0)
		*reason = SING_TRUNCATED;
	return got <= 0 ? -1 : got;
}

void sing_source_close(struct sing_source *source)
{
	pthread_cond_destroy(&source->changed);
	pthread_mutex_destroy(&source->lock);
}
