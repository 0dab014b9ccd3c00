/*
 * A ring of blocks. Who writes fills one after the other, the workers compress them in whatever order they get to it, who
 * takes waits for each in turn:
 *
 *     taken <= claimed <= filled <= taken + count
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/sha2.h>
#include <zlib.h>

#include "codec.h"
#include "squashfs/failure.h"
#include "squashfs/queue.h"

struct slot {
	struct sing_block block;
	bool done;
};

struct worker {
	struct sing_press *press;
	struct sing_codec *codec;
	pthread_t thread;
	bool started;
};

struct sing_press {
	enum sing_press_kind kind;
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* under the lock */
	uint64_t filled;
	uint64_t claimed;
	uint64_t taken;
	bool ended;
	int reason;

	struct slot *slots;
	size_t count;
	struct worker *workers;
	size_t worker_count;

	/* of who writes */
	struct sing_block *open;
	unsigned char window[SING_CODEC_WINDOW];
	size_t window_size;
	struct sha256_ctx sum;

	/* of who takes */
	enum { AT_HEAD, AT_BLOCKS, AT_END } place;
	bool holding;
	unsigned char edge[16];
	uint32_t check;
	uint64_t size;
};

static void fail(struct sing_press *press, int reason)
{
	pthread_mutex_lock(&press->lock);
	if (press->reason == 0)
		press->reason = reason;
	pthread_cond_broadcast(&press->changed);
	pthread_mutex_unlock(&press->lock);
}

static struct slot *slot_of(struct sing_press *press, uint64_t number)
{
	return &press->slots[number % press->count];
}

/* The next block to work on; NULL when there is nothing left to do. */
static struct slot *claim(struct sing_press *press)
{
	struct slot *slot = NULL;

	pthread_mutex_lock(&press->lock);
	while (press->reason == 0 && !press->ended && press->claimed == press->filled)
		pthread_cond_wait(&press->changed, &press->lock);
	if (press->reason == 0 && press->claimed < press->filled)
		slot = slot_of(press, press->claimed++);
	pthread_mutex_unlock(&press->lock);
	return slot;
}

static void *work(void *user)
{
	struct worker *worker = user;
	struct sing_press *press = worker->press;
	struct slot *slot;

	while ((slot = claim(press)) != NULL) {
		int error = sing_codec_compress(worker->codec, &slot->block);

		if (error != 0)
			fail(press, error);
		pthread_mutex_lock(&press->lock);
		slot->done = true;
		pthread_cond_broadcast(&press->changed);
		pthread_mutex_unlock(&press->lock);
	}
	return NULL;
}

static int start_workers(struct sing_press *press, int level, unsigned count)
{
	press->workers = calloc(count, sizeof *press->workers);
	if (press->workers == NULL)
		return ENOMEM;
	press->worker_count = count;
	for (size_t i = 0; i < count; i++) {
		struct worker *worker = &press->workers[i];
		int error = sing_codec_open(press->kind, level, &worker->codec);

		worker->press = press;
		if (error == 0)
			error = sing_thread_start(&worker->thread, work, worker);
		if (error != 0)
			return error;
		worker->started = true;
	}
	return 0;
}

static int make_slots(struct sing_press *press, size_t count)
{
	press->slots = calloc(count, sizeof *press->slots);
	if (press->slots == NULL)
		return ENOMEM;
	press->count = count;
	for (size_t i = 0; i < count; i++) {
		struct sing_block *block = &press->slots[i].block;

		block->input = malloc(sing_codec_room(press->kind));
		block->output = malloc(sing_codec_room(press->kind));
		if (block->input == NULL || block->output == NULL)
			return ENOMEM;
	}
	return 0;
}

int sing_press_open(enum sing_press_kind kind, int level, unsigned workers, struct sing_press **out)
{
	struct sing_press *press = calloc(1, sizeof *press);
	int error;

	if (press == NULL)
		return ENOMEM;
	press->kind = kind;
	pthread_mutex_init(&press->lock, NULL);
	pthread_cond_init(&press->changed, NULL);
	sha256_init(&press->sum);
	error = make_slots(press, 2 * (size_t)workers + 1);
	if (error == 0)
		error = start_workers(press, level, workers);
	if (error != 0) {
		sing_press_close(press);
		return error;
	}
	*out = press;
	return 0;
}

/* An empty block to write to. */
static int open_block(struct sing_press *press)
{
	int reason;

	pthread_mutex_lock(&press->lock);
	while (press->reason == 0 && press->filled - press->taken == press->count)
		pthread_cond_wait(&press->changed, &press->lock);
	reason = press->reason;
	pthread_mutex_unlock(&press->lock);
	if (reason != 0)
		return SING_CANCELLED;
	press->open = &slot_of(press, press->filled)->block;
	press->open->size = 0;
	press->open->is_last = false;
	press->open->window_size = press->window_size;
	memcpy(press->open->window, press->window, press->window_size);
	return 0;
}

/* A block that is not the last one is full, so that it fills the window alone. */
static void keep_window(struct sing_press *press)
{
	const struct sing_block *block = press->open;

	if (press->kind != SING_PRESS_GZIP || block->size < SING_CODEC_WINDOW)
		return;
	press->window_size = SING_CODEC_WINDOW;
	memcpy(press->window, block->input + block->size - SING_CODEC_WINDOW, SING_CODEC_WINDOW);
}

static void submit(struct sing_press *press, bool is_last)
{
	press->open->is_last = is_last;
	keep_window(press);
	press->open = NULL;
	pthread_mutex_lock(&press->lock);
	slot_of(press, press->filled)->done = false;
	press->filled++;
	press->ended = is_last;
	pthread_cond_broadcast(&press->changed);
	pthread_mutex_unlock(&press->lock);
}

/* A full block is kept until more comes: the last one must be known to be it. */
static int make_room(struct sing_press *press)
{
	if (press->open != NULL && press->open->size == sing_codec_block(press->kind))
		submit(press, false);
	return press->open != NULL ? 0 : open_block(press);
}

int sing_press_write(struct sing_press *press, const void *bytes, size_t size)
{
	const unsigned char *from = bytes;

	sha256_update(&press->sum, size, bytes);
	while (size > 0) {
		int error = make_room(press);
		struct sing_block *block = press->open;
		size_t count;

		if (error != 0)
			return error;
		count = sing_codec_block(press->kind) - block->size;
		if (count > size)
			count = size;
		memcpy(block->input + block->size, from, count);
		block->size += count;
		from += count;
		size -= count;
	}
	return 0;
}

void sing_press_end(struct sing_press *press, int reason)
{
	if (reason == 0 && press->open == NULL)
		reason = open_block(press);
	if (reason == 0)
		submit(press, true);
	else
		fail(press, reason);
}

static void let_go(struct sing_press *press)
{
	if (!press->holding)
		return;
	press->holding = false;
	pthread_mutex_lock(&press->lock);
	press->taken++;
	pthread_cond_broadcast(&press->changed);
	pthread_mutex_unlock(&press->lock);
}

/* Wait for the next block; none when the last one was taken. */
static int take_block(struct sing_press *press, struct sing_block **out)
{
	struct slot *slot = slot_of(press, press->taken);
	bool is_over;
	int reason;

	pthread_mutex_lock(&press->lock);
	while (press->reason == 0 && (press->taken == press->filled ? !press->ended : !slot->done))
		pthread_cond_wait(&press->changed, &press->lock);
	reason = press->reason;
	is_over = press->taken == press->filled;
	pthread_mutex_unlock(&press->lock);
	*out = is_over ? NULL : &slot->block;
	press->holding = !is_over;
	return reason;
}

static int take_from_blocks(struct sing_press *press, const void **bytes, size_t *size)
{
	struct sing_block *block;
	int error;

	let_go(press);
	error = take_block(press, &block);
	if (error != 0)
		return error;
	if (block == NULL) {
		press->place = AT_END;
		*bytes = press->edge;
		*size = sing_codec_tail(press->kind, press->check, press->size, press->edge);
		return 0;
	}
	if (press->kind == SING_PRESS_GZIP)
		press->check = (uint32_t)crc32(press->check, block->input, (uInt)block->size);
	press->size += block->size;
	*bytes = block->output;
	*size = block->output_size;
	return 0;
}

int sing_press_take(struct sing_press *press, const void **bytes, size_t *size)
{
	*bytes = press->edge;
	*size = 0;
	if (press->place == AT_HEAD) {
		press->place = AT_BLOCKS;
		*size = sing_codec_head(press->kind, press->edge);
	}
	return *size > 0 || press->place == AT_END ? 0 : take_from_blocks(press, bytes, size);
}

void sing_press_cancel(struct sing_press *press)
{
	fail(press, SING_CANCELLED);
}

void sing_press_sum(struct sing_press *press, uint64_t *size, unsigned char sum[SING_SHA256_SIZE])
{
	*size = press->size;
	sha256_digest(&press->sum, SING_SHA256_SIZE, sum);
}

void sing_press_close(struct sing_press *press)
{
	if (press == NULL)
		return;
	sing_press_cancel(press);
	for (size_t i = 0; i < press->worker_count; i++) {
		if (press->workers[i].started)
			pthread_join(press->workers[i].thread, NULL);
		sing_codec_close(press->workers[i].codec);
	}
	for (size_t i = 0; i < press->count; i++) {
		free(press->slots[i].block.input);
		free(press->slots[i].block.output);
	}
	free(press->workers);
	free(press->slots);
	pthread_cond_destroy(&press->changed);
	pthread_mutex_destroy(&press->lock);
	free(press);
}
