/*
 * Finding a block means adding up the sizes of those before it. That is quick for files of some hundred megabytes; for
 * longer ones marks are kept on the way, a fixed number for each of the few files read last.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "layout.h"

enum {
	TRAILS = 8,
	MARKS = 256,
	/* blocks between marks, at least: one metadata block full of sizes */
	STRIDE_MIN = METADATA_SIZE / 4,
};

struct mark {
	struct position position;
	uint64_t at;
};

/* The marks of one file: mark i is at block (i + 1) * stride. */
struct trail {
	inode_reference reference;
	uint64_t used;
	unsigned count;
	struct mark marks[MARKS];
};

struct trails {
	pthread_mutex_t lock;
	uint64_t clock;
	struct trail trails[TRAILS];
};

struct trails *trails_create(void)
{
	struct trails *trails = calloc(1, sizeof *trails);

	if (trails != NULL)
		pthread_mutex_init(&trails->lock, NULL);
	return trails;
}

static uint64_t stride_of(const struct layout *layout)
{
	uint64_t stride = layout->blocks / MARKS + 1;

	return stride > STRIDE_MIN ? stride : STRIDE_MIN;
}

/* The trail of a file; with `make`, the place of the one used longest ago is taken when there is none. */
static struct trail *find_trail(struct trails *trails, inode_reference reference, bool make)
{
	struct trail *oldest = &trails->trails[0];

	for (unsigned i = 0; i < TRAILS; i++) {
		struct trail *trail = &trails->trails[i];

		if (trail->used != 0 && trail->reference == reference) {
			trail->used = ++trails->clock;
			return trail;
		}
		if (trail->used < oldest->used)
			oldest = trail;
	}
	if (!make)
		return NULL;
	oldest->reference = reference;
	oldest->used = ++trails->clock;
	oldest->count = 0;
	return oldest;
}

/* Moves to the last mark that is not behind `block`. */
static struct position use_mark(struct layout *layout, inode_reference reference, uint64_t block,
				struct position start)
{
	struct trails *trails = layout->image->trails;
	uint64_t stride = stride_of(layout);
	const struct trail *trail;
	uint64_t marks = block / stride;
	struct position position = start;

	if (marks == 0)
		return start;
	pthread_mutex_lock(&trails->lock);
	trail = find_trail(trails, reference, false);
	if (trail != NULL && trail->count > 0) {
		if (marks > trail->count)
			marks = trail->count;
		layout->block = marks * stride;
		layout->at = trail->marks[marks - 1].at;
		position = trail->marks[marks - 1].position;
	}
	pthread_mutex_unlock(&trails->lock);
	return position;
}

static void leave_mark(struct layout *layout, inode_reference reference)
{
	struct trails *trails = layout->image->trails;
	uint64_t number = layout->block / stride_of(layout);
	struct trail *trail;

	pthread_mutex_lock(&trails->lock);
	trail = find_trail(trails, reference, true);
	if (trail->count < MARKS && number == trail->count + 1) {
		trail->marks[trail->count].position = cursor_position(&layout->cursor);
		trail->marks[trail->count].at = layout->at;
		trail->count++;
	}
	pthread_mutex_unlock(&trails->lock);
}

/* Passes as many blocks as have their sizes in one piece of metadata, at most `count`. */
static int pass_some(struct layout *layout, uint64_t count)
{
	const uint8_t *bytes;
	size_t size;
	struct extent extent;
	int error = cursor_peek(&layout->cursor, &bytes, &size);

	if (error != 0)
		return error;
	if (size < 4)
		return layout_next(layout, &extent);
	if (count > size / 4)
		count = size / 4;
	for (uint64_t i = 0; i < count; i++)
		layout->at += get32(bytes + 4 * i) & ~BLOCK_PLAIN;
	layout->block += count;
	layout->cursor.offset += (uint32_t)(4 * count);
	return 0;
}

static int pass_until(struct layout *layout, inode_reference reference, uint64_t block)
{
	uint64_t stride = stride_of(layout);

	while (layout->block < block) {
		uint64_t mark = (layout->block / stride + 1) * stride;
		uint64_t end = mark < block ? mark : block;
		int error = pass_some(layout, end - layout->block);

		if (error != 0)
			return error;
		if (layout->block == mark)
			leave_mark(layout, reference);
	}
	return 0;
}

uint64_t layout_blocks(const struct image *image, const struct inode *inode)
{
	uint64_t whole = inode->size >> image->super.block_log;
	uint64_t rest = inode->size & (image->super.block_size - 1);

	return whole + (rest > 0 && inode->file.fragment == NO_INDEX ? 1 : 0);
}

int layout_seek(struct layout *layout, struct image *image, inode_reference reference, const struct inode *inode,
		uint64_t block)
{
	uint64_t limit = image->super.directory_table_start;
	struct position position;
	int error;

	layout->image = image;
	layout->blocks = layout_blocks(image, inode);
	layout->block = 0;
	layout->at = inode->file.start;
	/* before the first step: an absurd size must not make us walk through the whole image */
	if (layout->blocks > image_metadata_bound(inode->rest.block, limit) / 4)
		return image_damaged(image, "inode %" PRIu32 " claims %" PRIu64 " blocks", inode->number, layout->blocks);
	position = use_mark(layout, reference, block, inode->rest);
	error = cursor_seek(&layout->cursor, image, position, limit);
	return error != 0 ? error : pass_until(layout, reference, block);
}

int layout_next(struct layout *layout, struct extent *extent)
{
	uint8_t word[4];
	int error = cursor_read(&layout->cursor, word, sizeof word);

	if (error != 0)
		return error;
	extent->at = layout->at;
	extent->word = get32(word);
	layout->at += extent_size(*extent);
	layout->block++;
	return 0;
}

void layout_close(struct layout *layout)
{
	cursor_close(&layout->cursor);
}
