/*
 * Reads files. A request inside of one packed block is answered from the cache without a copy; anything else is put
 * together in the thread's scratch memory. Blocks stored as they are skip the cache: the kernel caches both their ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ahead.h"
#include "file.h"
#include "layout.h"
#include "unpack.h"

enum {
	FRAGMENT_ENTRY = 16,
	/* as many blocks as one request can touch, and those read ahead */
	EXTENTS_MAX = ANSWER_SIZE / SQFS_MIN_BLOCK_SIZE + 1 + 8,
};

/* The part of one block that a request asks for. */
struct part {
	struct extent extent;
	/* bytes the block must unpack to; for fragment blocks, at least */
	uint32_t whole;
	bool fragment;
	uint32_t from;
	uint32_t size;
};

/* A request, and where it stands. */
struct reading {
	struct image *image;
	const struct inode *inode;
	uint64_t blocks;
	uint64_t first;
	uint64_t last;
	/* extents[i] is block first + i */
	struct extent extents[EXTENTS_MAX];
};

int file_load_block(struct image *image, struct block *block)
{
	uint32_t size = extent_size(block->extent);
	int got = unpack_from_image(image, block->extent.at, size, block->data, image->super.block_size);

	if (got < 0)
		return got;
	block->size = (uint32_t)got;
	block->next = block->extent.at + size;
	return 0;
}

static bool is_packed(struct extent extent)
{
	return extent.word != 0 && !(extent.word & BLOCK_PLAIN);
}

/* The block of fragments with this number. */
static int fragment_extent(struct image *image, uint32_t index, struct extent *extent)
{
	uint8_t bytes[FRAGMENT_ENTRY];
	int error;

	if (index >= image->super.fragment_entry_count)
		return image_damaged(image, "there is no fragment block %" PRIu32, index);
	error = image_table_entry(image, image->super.fragment_table_start, index, sizeof bytes, bytes);
	extent->at = error == 0 ? get64(bytes) : 0;
	extent->word = error == 0 ? get32(bytes + 8) : 0;
	return error;
}

/* Small files lie in fragment blocks in the order of their names: who reads one block will want the next. */
static void want_next_fragment(struct reading *reading)
{
	struct image *image = reading->image;
	uint32_t index = reading->inode->file.fragment;
	struct extent extent;

	if (!ahead_follows(image->ahead, UINT64_MAX, index, index) || index + 1 >= image->super.fragment_entry_count)
		return;
	if (fragment_extent(image, index + 1, &extent) == 0 && is_packed(extent))
		ahead_want(image->ahead, extent);
}

/* Finds the extents of the request and, when the file is read in order, has those that follow read ahead. */
static int find_extents(struct reading *reading, inode_reference reference)
{
	LAYOUT layout = { 0 };
	struct image *image = reading->image;
	bool ordered = ahead_follows(image->ahead, reference, reading->first, reading->last);
	uint64_t end = reading->last + 1 + (ordered ? ahead_depth(image->ahead) : 0);
	int error;

	if (reading->first >= reading->blocks)
		return 0;
	error = layout_seek(&layout, image, reference, reading->inode, reading->first);
	for (uint64_t block = reading->first; error == 0 && block < end && block < reading->blocks; block++) {
		struct extent *extent = &reading->extents[block - reading->first];

		error = layout_next(&layout, extent);
		if (error == 0 && block > reading->first && is_packed(*extent))
			ahead_want(image->ahead, *extent);
		/* what only would have been read ahead is not missed */
		if (error != 0 && block > reading->last)
			return 0;
	}
	return error;
}

static int find_part(struct reading *reading, uint64_t block, uint64_t offset, uint64_t end, struct part *part)
{
	uint32_t block_size = reading->image->super.block_size;
	uint64_t start = block << reading->image->super.block_log;
	uint64_t left = reading->inode->size - start;
	int error = 0;

	part->whole = left < block_size ? (uint32_t)left : block_size;
	part->from = offset > start ? (uint32_t)(offset - start) : 0;
	part->size = (uint32_t)(end - start < part->whole ? end - start : part->whole) - part->from;
	part->fragment = block >= reading->blocks;
	if (!part->fragment) {
		part->extent = reading->extents[block - reading->first];
		return 0;
	}
	error = fragment_extent(reading->image, reading->inode->file.fragment, &part->extent);
	if (error == 0 && is_packed(part->extent))
		want_next_fragment(reading);
	if (reading->inode->file.fragment_offset > block_size - part->whole)
		return image_damaged(reading->image, "file %" PRIu32 " ends outside of its fragment",
				     reading->inode->number);
	part->from += reading->inode->file.fragment_offset;
	part->whole += reading->inode->file.fragment_offset;
	return error;
}

/* Reads a part that is not packed: a hole, or bytes stored as they are. */
static int read_plain(struct image *image, const struct part *part, uint8_t *to)
{
	uint32_t stored = extent_size(part->extent);

	if (part->extent.word == 0 && !part->fragment) {
		memset(to, 0, part->size);
		return 0;
	}
	if (part->fragment ? stored < part->whole : stored != part->whole)
		return -EIO;
	return image->file->read_at(image->file, part->extent.at + part->from, to, part->size) == 0 ? 0 : -EIO;
}

/* The cached block of a packed part, checked to have the bytes. */
static const struct block *get_packed(struct image *image, const struct part *part, int *error)
{
	const struct block *block = cache_get(image->blocks, part->extent, error);

	if (block == NULL || (part->fragment ? block->size >= part->whole : block->size == part->whole))
		return block;
	cache_put(image->blocks, block);
	*error = -EIO;
	return NULL;
}

static int copy_part(struct image *image, const struct part *part, uint8_t *to)
{
	const struct block *block;
	int error = 0;

	if (!is_packed(part->extent))
		return read_plain(image, part, to);
	block = get_packed(image, part, &error);
	if (block == NULL)
		return error;
	memcpy(to, block->data + part->from, part->size);
	cache_put(image->blocks, block);
	return 0;
}

static int share_part(struct image *image, const struct part *part, struct span *span)
{
	int error = 0;

	span->block = get_packed(image, part, &error);
	if (span->block == NULL)
		return error;
	span->bytes = span->block->data + part->from;
	span->size = part->size;
	return 0;
}

static int block_damaged(const struct reading *reading, uint64_t block, const struct part *part)
{
	return image_damaged(reading->image,
			     "file %" PRIu32 ": block %" PRIu64 " (at %" PRIu64 ", %" PRIu32 " bytes) is damaged",
			     reading->inode->number, block, part->extent.at, extent_size(part->extent));
}

static int read_parts(struct reading *reading, uint64_t offset, uint64_t end, struct span *span)
{
	uint8_t *scratch = unpack_scratch();

	if (scratch == NULL)
		return -ENOMEM;
	span->bytes = scratch;
	for (uint64_t block = reading->first; block <= reading->last; block++) {
		struct part part;
		int error = find_part(reading, block, offset, end, &part);

		if (error != 0)
			return error;
		if (reading->first == reading->last && is_packed(part.extent)) {
			error = share_part(reading->image, &part, span);
		} else {
			error = copy_part(reading->image, &part, scratch + span->size);
			span->size += part.size;
		}
		if (error != 0)
			return error == -EIO ? block_damaged(reading, block, &part) : error;
	}
	return 0;
}

int file_read(struct image *image, inode_reference reference, const struct inode *inode, uint64_t offset, size_t size,
	      struct span *span)
{
	struct reading reading;
	uint64_t end;
	int error;

	*span = (struct span){ 0 };
	if (offset >= inode->size || size == 0)
		return 0;
	if (size > ANSWER_SIZE)
		return -EINVAL;
	end = inode->size - offset < size ? inode->size : offset + size;
	reading.image = image;
	reading.inode = inode;
	reading.blocks = layout_blocks(image, inode);
	reading.first = offset >> image->super.block_log;
	reading.last = (end - 1) >> image->super.block_log;
	error = find_extents(&reading, reference);
	return error != 0 ? error : read_parts(&reading, offset, end, span);
}

void file_release(struct image *image, const struct span *span)
{
	cache_put(image->blocks, span->block);
}
