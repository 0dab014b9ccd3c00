/* The bytes of a layer in a file that may still grow. */
#ifndef SING_SOURCE_H
#define SING_SOURCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sing_source {
	int fd; /* stays the caller's */
	uint64_t offset;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t available; /* bytes from `offset` on that may be read */
	bool complete;      /* there will not be more */
	int stopped;        /* a reason why nobody shall wait any longer, or 0 */
};

void sing_source_open(struct sing_source *source, int fd, uint64_t offset);

/* So many bytes are there now. Less than before is no news. Any thread may call this and the next two. */
void sing_source_advance(struct sing_source *source, uint64_t available);

/* And these are all. */
void sing_source_complete(struct sing_source *source, uint64_t size);

/* Who waits, or will, gets this reason instead of bytes. */
void sing_source_stop(struct sing_source *source, int reason);

/* The reason for which it was stopped, or 0. */
int sing_source_stopped(struct sing_source *source);

/*
 * Read at most `size` bytes from `position` on, waiting for at least one. Returns their number, 0 at the end, or -1 with a
 * reason.
 */
ssize_t sing_source_read(struct sing_source *source, uint64_t position, void *buffer, size_t size, int *reason);

void sing_source_close(struct sing_source *source);

#ifdef __cplusplus
}
#endif

#endif
