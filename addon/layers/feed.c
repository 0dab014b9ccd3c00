/* Chunks go round: empty ones to the thread, full ones to the caller. The queues are as long as there are chunks. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "decoder.h"
#include "feed.h"
#include "squashfs/failure.h"
#include "squashfs/queue.h"

enum { CHUNK = 256 * 1024, MAGIC = 8 };

/* What every archive may grow to, however small it is. */
#define FREE_BYTES ((uint64_t)1 << 30)

struct chunk {
	size_t size;
	uint8_t data[CHUNK];
};

struct sing_feed {
	struct sing_feed_options options;
	pthread_t thread;
	struct sing_queue empty;
	struct sing_queue full;
	struct chunk *current; /* with the caller */
	struct sing_digest plain;
	uint64_t given; /* plain bytes, to the caller */
	int reason; /* of the thread's end; read after `full` was closed */

	/* of the thread */
	struct sing_decoder *decoder;
	struct sing_digest packed;
	atomic_uint_fast64_t position;
	uint64_t plain_size;
	uint8_t input[CHUNK];
};

/* The first bytes come together: they tell what the rest is. */
static ssize_t fill(void *user, const uint8_t **data, int *reason)
{
	struct sing_feed *feed = user;
	uint64_t position = feed->position;
	size_t least = position == 0 ? MAGIC : 1;
	size_t size = 0;

	while (size < least) {
		ssize_t got = sing_source_read(feed->options.source, position + size, feed->input + size, CHUNK - size, reason);

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	sing_digest_update(&feed->packed, feed->input, size);
	feed->position = position + size;
	*data = feed->input;
	return (ssize_t)size;
}

static int check_ratio(const struct sing_feed *feed)
{
	uint64_t grown = feed->plain_size < FREE_BYTES ? 0 : feed->plain_size - FREE_BYTES;

	return grown / feed->options.ratio > feed->position ? SING_RATIO : 0;
}

static int fill_chunk(struct sing_feed *feed, struct chunk *chunk)
{
	int reason = 0;
	ssize_t size = sing_decoder_read(feed->decoder, chunk->data, CHUNK, &reason);

	if (size < 0)
		return reason;
	chunk->size = (size_t)size;
	feed->plain_size += chunk->size;
	return check_ratio(feed);
}

static void *work(void *user)
{
	struct sing_feed *feed = user;
	struct chunk *chunk;

	while ((chunk = sing_queue_take(&feed->empty)) != NULL) {
		feed->reason = fill_chunk(feed, chunk);
		if (feed->reason != 0 || chunk->size == 0 || !sing_queue_put(&feed->full, chunk)) {
			free(chunk);
			break;
		}
	}
	sing_queue_close(&feed->full);
	return NULL;
}

static int add_chunks(struct sing_feed *feed)
{
	for (size_t i = 0; i < SING_QUEUE_SLOTS; i++) {
		struct chunk *chunk = malloc(sizeof *chunk);

		if (chunk == NULL)
			return ENOMEM;
		sing_queue_put(&feed->empty, chunk);
	}
	return 0;
}

static void empty_queue(struct sing_queue *queue)
{
	struct chunk *chunk;

	sing_queue_close(queue);
	while ((chunk = sing_queue_take(queue)) != NULL)
		free(chunk);
	sing_queue_free(queue);
}

static void destroy(struct sing_feed *feed)
{
	empty_queue(&feed->empty);
	empty_queue(&feed->full);
	free(feed->current);
	sing_decoder_close(feed->decoder);
	free(feed);
}

int sing_feed_start(const struct sing_feed_options *options, struct sing_feed **out)
{
	struct sing_feed *feed = calloc(1, sizeof *feed);
	int error;

	if (feed == NULL)
		return ENOMEM;
	feed->options = *options;
	sing_queue_open(&feed->empty);
	sing_queue_open(&feed->full);
	sing_digest_begin(&feed->packed, options->packed_kind);
	sing_digest_begin(&feed->plain, options->plain_kind);
	feed->decoder = sing_decoder_open(fill, feed);
	error = feed->decoder == NULL ? ENOMEM : add_chunks(feed);
	if (error == 0)
		error = sing_thread_start(&feed->thread, work, feed);
	if (error == 0)
		*out = feed;
	else
		destroy(feed);
	return error;
}

ssize_t sing_feed_next(struct sing_feed *feed, const void **data, int *reason)
{
	if (feed->current != NULL && !sing_queue_put(&feed->empty, feed->current))
		free(feed->current);
	/* few bytes can be much work: what was read already is not worth the wait */
	*reason = sing_source_stopped(feed->options.source);
	feed->current = *reason == 0 ? sing_queue_take(&feed->full) : NULL;
	if (feed->current == NULL && *reason == 0)
		*reason = feed->reason;
	if (feed->current == NULL)
		return *reason != 0 ? -1 : 0;
	sing_digest_update(&feed->plain, feed->current->data, feed->current->size);
	feed->given += feed->current->size;
	*data = feed->current->data;
	return (ssize_t)feed->current->size;
}

uint64_t sing_feed_position(const struct sing_feed *feed)
{
	return feed->position;
}

uint64_t sing_feed_size(const struct sing_feed *feed)
{
	return feed->given;
}

void sing_feed_sums(struct sing_feed *feed, char packed[SING_DIGEST_TEXT], char plain[SING_DIGEST_TEXT])
{
	sing_digest_end(&feed->packed, packed);
	sing_digest_end(&feed->plain, plain);
}

void sing_feed_stop(struct sing_feed *feed)
{
	sing_queue_close(&feed->empty);
	sing_queue_close(&feed->full);
	pthread_join(feed->thread, NULL);
	destroy(feed);
}
