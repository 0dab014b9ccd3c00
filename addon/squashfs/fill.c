/*
 * A queue of batches between the one who makes files and those who fill them. Neighbours in the tree mostly end in the same
 * fragment block: they stay in one batch, so that the block is unpacked by one thread, once.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fill.h"
#include "queue.h"

enum { BATCH_FILES = 16, BATCH_BYTES = 1 << 20 };

struct job {
	int fd;
	unsigned image;
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
	struct sing_queue queue; /* of batches */
	pthread_mutex_t lock;
	struct sing_failure failure; /* the first; under the lock */
	_Atomic bool stopped;

	struct sing_image *const *images;
	size_t image_count;
	struct batch *next; /* being put together; not the threads' */
	unsigned workers;
	struct worker *threads;
};

struct worker {
	struct sing_fill *fill;
	struct sing_data **data; /* of each image, opened when it is needed */
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

static int perform(struct worker *worker, const struct job *job)
{
	struct sing_data **data = &worker->data[job->image];
	struct target target = { job->fd, false };
	int error = *data == NULL ? sing_data_open(worker->fill->images[job->image], data) : 0;

	if (error == 0)
		error = sing_data_read(*data, job->inode, write_bytes, &target);
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
	pthread_mutex_unlock(&fill->lock);
	atomic_store(&fill->stopped, true);
}

static void perform_batch(struct worker *worker, struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct job *job = &batch->jobs[i];
		int error = atomic_load(&worker->fill->stopped) ? 0 : perform(worker, job);

		if (error != 0)
			note_failure(worker->fill, error, job->path);
		drop(job);
	}
	free(batch);
}

static void *work(void *user)
{
	struct worker *worker = user;
	struct batch *batch;

	while ((batch = sing_queue_take(&worker->fill->queue)) != NULL)
		perform_batch(worker, batch);
	return NULL;
}

static int start_workers(struct sing_fill *fill)
{
	for (unsigned i = 0; i < fill->workers; i++) {
		struct worker *worker = &fill->threads[i];
		int error;

		worker->fill = fill;
		worker->data = calloc(fill->image_count, sizeof(struct sing_data *));
		error = worker->data == NULL ? ENOMEM : sing_thread_start(&worker->thread, work, worker);
		if (error != 0)
			return error;
		worker->started = true;
	}
	return 0;
}

int sing_fill_start(struct sing_image *const *images, size_t count, unsigned workers, struct sing_fill **out)
{
	struct sing_fill *fill = calloc(1, sizeof *fill);
	struct sing_failure ignored = { 0 };
	int error;

	if (fill == NULL)
		return ENOMEM;
	sing_queue_open(&fill->queue);
	pthread_mutex_init(&fill->lock, NULL);
	fill->images = images;
	fill->image_count = count;
	fill->workers = workers;
	fill->threads = calloc(workers, sizeof *fill->threads);
	error = fill->threads == NULL ? ENOMEM : start_workers(fill);
	if (error != 0)
		sing_fill_end(fill, true, &ignored);
	else
		*out = fill;
	return error;
}

/* The queue is open: only we close it. */
static void put(struct sing_fill *fill)
{
	if (fill->next != NULL)
		(void)sing_queue_put(&fill->queue, fill->next);
	fill->next = NULL;
}

static bool belongs(const struct batch *batch, const struct job *job)
{
	if (batch->count == BATCH_FILES || batch->bytes > BATCH_BYTES)
		return false;
	if (batch->jobs[0].image != job->image)
		return false;
	return sing_fragment_of(batch->jobs[0].inode) == sing_fragment_of(job->inode);
}

int sing_fill_add(struct sing_fill *fill, int fd, unsigned image, sqfs_inode_generic_t *inode,
		  const struct sing_kept *kept, const char *path)
{
	struct job job = { fd, image, inode, *kept, strdup(path) };

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

static void end_worker(struct worker *worker, size_t images)
{
	if (worker->started)
		pthread_join(worker->thread, NULL);
	for (size_t i = 0; worker->data != NULL && i < images; i++)
		sing_data_close(worker->data[i]);
	free(worker->data);
}

int sing_fill_end(struct sing_fill *fill, bool stop, struct sing_failure *failure)
{
	int result;

	if (stop)
		atomic_store(&fill->stopped, true);
	put(fill);
	sing_queue_close(&fill->queue);
	for (unsigned i = 0; fill->threads != NULL && i < fill->workers; i++)
		end_worker(&fill->threads[i], fill->image_count);
	result = fill->failure.reason == 0 ? 0 : -1;
	if (result != 0 && failure->reason == 0)
		*failure = fill->failure;
	pthread_mutex_destroy(&fill->lock);
	sing_queue_free(&fill->queue);
	free(fill->threads);
	free(fill);
	return result;
}
