/*
 * A queue of batches between the one who makes files and those who fill them. Neighbours in the tree mostly end in the same
 * fragment block: they stay in one batch, so that the block is unpacked by one thread, once.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fill.h"

enum { BATCH_FILES = 16, BATCH_BYTES = 1 << 20, QUEUE_BATCHES = 8 };

struct job {
	int fd;
	sqfs_inode_generic_t *inode;
	struct sing_kept kept;
	char *path;
};

struct batch {
	struct job jobs[BATCH_FILES];
	size_t count;
	uint64_t bytes;
};

struct sing_fill {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* anything below */
	struct batch *queue[QUEUE_BATCHES];
	size_t first;
	size_t queued;
	bool closed;
	struct sing_failure failure;
	_Atomic bool stopped;

	struct batch *next; /* being put together; not the threads' */
	unsigned workers;
	struct worker *threads;
};

struct worker {
	struct sing_fill *fill;
	struct sing_data *data;
	pthread_t thread;
	bool started;
};

struct target {
	int fd;
	bool holes;
};

static int write_bytes(void *user, uint64_t offset, const void *bytes, size_t size)
{
	struct target *target = user;
	const char *from = bytes;

	if (bytes == NULL) {
		target->holes = true;
		return 0;
	}
	while (size > 0) {
		ssize_t put = pwrite(target->fd, from, size, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		from += put;
		offset += (uint64_t)put;
		size -= (size_t)put;
	}
	return 0;
}

static int perform(struct sing_data *data, const struct job *job)
{
	struct target target = { job->fd, false };
	int error = sing_data_read(data, job->inode, write_bytes, &target);

	if (error != 0)
		return error;
	/* a hole at the end leaves no trace otherwise */
	if (target.holes && ftruncate(job->fd, (off_t)job->kept.stat.size) != 0)
		return errno;
	return sing_kept_apply(&job->kept, job->fd);
}

static void drop(struct job *job)
{
	close(job->fd);
	sqfs_free(job->inode);
	sing_kept_free(&job->kept);
	free(job->path);
}

static void note_failure(struct sing_fill *fill, int reason, const char *path)
{
	pthread_mutex_lock(&fill->lock);
	sing_fail(&fill->failure, reason, "unpack", path);
	atomic_store(&fill->stopped, true);
	pthread_cond_broadcast(&fill->changed);
	pthread_mutex_unlock(&fill->lock);
}

static void perform_batch(struct worker *worker, struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct job *job = &batch->jobs[i];
		int error = atomic_load(&worker->fill->stopped) ? 0 : perform(worker->data, job);

		if (error != 0)
			note_failure(worker->fill, error, job->path);
		drop(job);
	}
	free(batch);
}

static struct batch *take(struct sing_fill *fill)
{
	struct batch *batch = NULL;

	pthread_mutex_lock(&fill->lock);
	while (fill->queued == 0 && !fill->closed)
		pthread_cond_wait(&fill->changed, &fill->lock);
	if (fill->queued > 0) {
		batch = fill->queue[fill->first];
		fill->first = (fill->first + 1) % QUEUE_BATCHES;
		fill->queued--;
		pthread_cond_broadcast(&fill->changed);
	}
	pthread_mutex_unlock(&fill->lock);
	return batch;
}

static void *work(void *user)
{
	struct worker *worker = user;
	struct batch *batch;

	while ((batch = take(worker->fill)) != NULL)
		perform_batch(worker, batch);
	return NULL;
}

/* Signals are for the threads that know what to do with them. */
static int start_worker(struct worker *worker)
{
	sigset_t all;
	sigset_t before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->started = error == 0;
	return error;
}

static int start_workers(struct sing_fill *fill, const struct sing_image *image)
{
	for (unsigned i = 0; i < fill->workers; i++) {
		struct worker *worker = &fill->threads[i];
		int error;

		worker->fill = fill;
		error = sing_data_open(image, &worker->data);
		if (error == 0)
			error = start_worker(worker);
		if (error != 0)
			return error;
	}
	return 0;
}

int sing_fill_start(const struct sing_image *image, unsigned workers, struct sing_fill **out)
{
	struct sing_fill *fill = calloc(1, sizeof *fill);
	struct sing_failure ignored = { 0 };
	int error;

	if (fill == NULL)
		return ENOMEM;
	pthread_mutex_init(&fill->lock, NULL);
	pthread_cond_init(&fill->changed, NULL);
	fill->workers = workers;
	fill->threads = calloc(workers, sizeof *fill->threads);
	error = fill->threads == NULL ? ENOMEM : start_workers(fill, image);
	if (error != 0)
		sing_fill_end(fill, true, &ignored);
	else
		*out = fill;
	return error;
}

static void put(struct sing_fill *fill)
{
	struct batch *batch = fill->next;

	if (batch == NULL)
		return;
	fill->next = NULL;
	pthread_mutex_lock(&fill->lock);
	while (fill->queued == QUEUE_BATCHES)
		pthread_cond_wait(&fill->changed, &fill->lock);
	fill->queue[(fill->first + fill->queued) % QUEUE_BATCHES] = batch;
	fill->queued++;
	pthread_cond_broadcast(&fill->changed);
	pthread_mutex_unlock(&fill->lock);
}

static bool belongs(const struct batch *batch, const struct job *job)
{
	if (batch->count == BATCH_FILES || batch->bytes > BATCH_BYTES)
		return false;
	return sing_fragment_of(batch->jobs[0].inode) == sing_fragment_of(job->inode);
}

int sing_fill_add(struct sing_fill *fill, int fd, sqfs_inode_generic_t *inode, const struct sing_kept *kept,
		  const char *path)
{
	struct job job = { fd, inode, *kept, strdup(path) };

	if (fill->next != NULL && !belongs(fill->next, &job))
		put(fill);
	if (fill->next == NULL)
		fill->next = calloc(1, sizeof *fill->next);
	if (fill->next == NULL || job.path == NULL) {
		drop(&job);
		note_failure(fill, ENOMEM, path);
		return -1;
	}
	fill->next->jobs[fill->next->count++] = job;
	fill->next->bytes += kept->stat.size;
	return atomic_load(&fill->stopped) ? -1 : 0;
}

int sing_fill_end(struct sing_fill *fill, bool stop, struct sing_failure *failure)
{
	int result;

	if (stop)
		atomic_store(&fill->stopped, true);
	if (fill->next != NULL)
		put(fill);
	pthread_mutex_lock(&fill->lock);
	fill->closed = true;
	pthread_cond_broadcast(&fill->changed);
	pthread_mutex_unlock(&fill->lock);
	for (unsigned i = 0; fill->threads != NULL && i < fill->workers; i++) {
		if (fill->threads[i].started)
			pthread_join(fill->threads[i].thread, NULL);
		sing_data_close(fill->threads[i].data);
	}
	result = fill->failure.reason == 0 ? 0 : -1;
	if (result != 0 && failure->reason == 0)
		*failure = fill->failure;
	pthread_cond_destroy(&fill->changed);
	pthread_mutex_destroy(&fill->lock);
	free(fill->threads);
	free(fill);
	return result;
}
