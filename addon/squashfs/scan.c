/* The thread that looks, and the way of what it finds to the other one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "scan_internal.h"

/* How far ahead: batches in the queue, and in each of them. The kernel reads on by itself once a file is being read. */
enum { BATCH_ITEMS = 32, BATCH_BYTES = 4 << 20, AHEAD_BYTES = 2 << 20 };

struct batch {
	struct sing_item *items[BATCH_ITEMS];
	size_t count;
	size_t taken;
	uint64_t bytes;
};

void sing_item_free(struct sing_item *item)
{
	if (item->fd >= 0)
		close(item->fd);
	sing_xattrs_free(&item->xattrs);
	sqfs_free(item->inode);
	free(item->target);
	free(item->failure);
	free(item);
}

static void free_batch(struct batch *batch)
{
	for (size_t i = batch->taken; i < batch->count; i++)
		sing_item_free(batch->items[i]);
	free(batch);
}

/* Hand the batch over. -1 when nobody wants it any more: the scan ends without a word. */
static int flush(struct sing_scan *scan)
{
	struct batch *batch = scan->putting;

	scan->putting = NULL;
	if (batch == NULL || sing_queue_put(&scan->queue, batch))
		return 0;
	free_batch(batch);
	return -1;
}

struct sing_item *sing_item_create(enum sing_item_kind kind, const char *name)
{
	struct sing_item *item = calloc(1, sizeof *item + strlen(name) + 1);

	if (item == NULL)
		return NULL;
	item->kind = kind;
	item->fd = -1;
	item->layer = SING_HOST;
	strcpy(item->name, name);
	return item;
}

int sing_scan_put(struct sing_scan *scan, struct sing_item *item)
{
	if (scan->putting == NULL)
		scan->putting = calloc(1, sizeof *scan->putting);
	if (scan->putting == NULL) {
		sing_item_free(item);
		return -1;
	}
	scan->putting->items[scan->putting->count++] = item;
	if (item->kind == SING_ITEM_FILE)
		scan->putting->bytes += item->status.st_size < AHEAD_BYTES ? (uint64_t)item->status.st_size : AHEAD_BYTES;
	return scan->putting->count == BATCH_ITEMS || scan->putting->bytes > BATCH_BYTES ? flush(scan) : 0;
}

/* The other thread sees a queue that ends without an item of this kind as a lack of memory. */
int sing_scan_fail(struct sing_scan *scan, int reason, const char *action)
{
	struct sing_item *item = sing_item_create(SING_ITEM_FAILURE, "");

	if (item == NULL)
		return -1;
	item->failure = calloc(1, sizeof *item->failure);
	if (item->failure == NULL) {
		sing_item_free(item);
		return -1;
	}
	sing_fail(item->failure, reason, action, scan->trail.path);
	(void)sing_scan_put(scan, item);
	return -1;
}

static void *work(void *user)
{
	struct sing_scan *scan = user;

	sing_scan_look(scan);
	(void)flush(scan);
	sing_queue_close(&scan->queue);
	return NULL;
}

static void free_scan(struct sing_scan *scan)
{
	sing_queue_free(&scan->queue);
	sing_xattrs_free(&scan->xattrs);
	sing_stack_end(&scan->stack);
	free(scan->images);
	free(scan->trail.path);
	free(scan);
}

static int set_up(struct sing_scan *scan)
{
	const struct sing_base *base = scan->options.base;
	size_t layers = base == NULL ? 0 : base->count;
	int error = sing_trail_begin(&scan->trail, scan->options.root);

	scan->root_length = scan->trail.length;
	scan->images = calloc(layers + 1, sizeof(struct sing_image *));
	if (error != 0 || scan->images == NULL)
		return ENOMEM;
	for (size_t i = 0; i < layers; i++)
		scan->images[i] = base->layers[i].image;
	scan->stack.images = scan->images;
	scan->stack.count = layers;
	return 0;
}

int sing_scan_start(const struct sing_scan_options *options, struct sing_scan **out)
{
	struct sing_scan *scan = calloc(1, sizeof *scan);
	int error;

	if (scan == NULL)
		return ENOMEM;
	sing_queue_open(&scan->queue);
	scan->options = *options;
	error = set_up(scan);
	if (error == 0)
		error = sing_thread_start(&scan->thread, work, scan);
	if (error == 0)
		*out = scan;
	else
		free_scan(scan);
	return error;
}

/* NULL at the end. It is the caller's, who frees it. */
static struct sing_item *next(struct sing_scan *scan)
{
	struct batch *batch = scan->taking;

	if (batch != NULL && batch->taken == batch->count) {
		free_batch(batch);
		batch = NULL;
	}
	if (batch == NULL)
		batch = sing_queue_take(&scan->queue);
	scan->taking = batch;
	return batch == NULL ? NULL : batch->items[batch->taken++];
}

int sing_scan_each(struct sing_scan *scan, int (*take)(void *user, struct sing_item *item), void *user)
{
	struct sing_item *item;
	int result = 0;

	while (result == 0 && (item = next(scan)) != NULL) {
		result = take(user, item);
		sing_item_free(item);
	}
	return result;
}

void sing_scan_end(struct sing_scan *scan)
{
	struct batch *batch;

	sing_queue_close(&scan->queue);
	pthread_join(scan->thread, NULL);
	if (scan->taking != NULL)
		free_batch(scan->taking);
	while ((batch = sing_queue_take(&scan->queue)) != NULL)
		free_batch(batch);
	free_scan(scan);
}
