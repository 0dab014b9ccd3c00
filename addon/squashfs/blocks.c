/*
 * Keeps size and checksum of every block, and a table of the first blocks of files. A file is the same as the beginning of an
 * earlier one when all of these are equal and so are the bytes, read back.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sqfs/block.h>
#include <sqfs/error.h>

#include "blocks.h"

enum { NONE = -1, FIRST_BUCKETS = 1024 };

struct block {
	uint64_t offset;
	uint32_t size;
	uint32_t checksum; /* of the data before it was compressed */
	bool compressed;
};

/* A file that is kept, in the list of those whose first blocks fall into the same bucket; oldest first. */
struct start {
	size_t block;
	ptrdiff_t next;
};

struct writer {
	sqfs_block_writer_t base;
	sqfs_file_t *file;
	struct block *blocks;
	size_t count;
	size_t room;
	size_t first; /* block of the file that is being written */
	uint64_t written;

	struct start *starts;
	size_t start_count;
	size_t start_room;
	ptrdiff_t *buckets; /* as many as there is room for starts */
};

static bool is_equal(const struct block *a, const struct block *b)
{
	return a->size == b->size && a->checksum == b->checksum && a->compressed == b->compressed;
}

static size_t bucket_of(const struct writer *writer, const struct block *block)
{
	return (block->checksum ^ block->size) & (writer->start_room - 1);
}

static void link_start(struct writer *writer, ptrdiff_t index)
{
	ptrdiff_t *link = &writer->buckets[bucket_of(writer, &writer->blocks[writer->starts[index].block])];

	while (*link != NONE)
		link = &writer->starts[*link].next;
	writer->starts[index].next = NONE;
	*link = index;
}

static int grow_starts(struct writer *writer)
{
	size_t room = writer->start_room == 0 ? FIRST_BUCKETS : writer->start_room * 2;
	struct start *starts = reallocarray(writer->starts, room, sizeof *starts);
	ptrdiff_t *buckets;

	if (starts == NULL)
		return SQFS_ERROR_ALLOC;
	writer->starts = starts;
	buckets = reallocarray(writer->buckets, room, sizeof *buckets);
	if (buckets == NULL)
		return SQFS_ERROR_ALLOC;
	writer->buckets = buckets;
	writer->start_room = room;
	for (size_t i = 0; i < room; i++)
		buckets[i] = NONE;
	for (size_t i = 0; i < writer->start_count; i++)
		link_start(writer, (ptrdiff_t)i);
	return 0;
}

static int remember_start(struct writer *writer)
{
	if (writer->start_count == writer->start_room && grow_starts(writer) != 0)
		return SQFS_ERROR_ALLOC;
	writer->starts[writer->start_count].block = writer->first;
	link_start(writer, (ptrdiff_t)writer->start_count++);
	return 0;
}

static int append(struct writer *writer, uint32_t size, uint32_t checksum, bool compressed, const void *data)
{
	struct block block = { writer->file->get_size(writer->file), size, checksum, compressed };

	if (writer->count == writer->room) {
		size_t room = writer->room == 0 ? 256 : writer->room * 2;
		struct block *blocks = reallocarray(writer->blocks, room, sizeof *blocks);

		if (blocks == NULL)
			return SQFS_ERROR_ALLOC;
		writer->blocks = blocks;
		writer->room = room;
	}
	writer->blocks[writer->count++] = block;
	writer->written++;
	return writer->file->write_at(writer->file, block.offset, data, size);
}

/* Whether the bytes at both places are the same; an error is negative. */
static int compare_bytes(struct writer *writer, uint64_t one, uint64_t other, uint64_t size)
{
	char buffers[2][16 * 1024];

	while (size > 0) {
		size_t step = size < sizeof buffers[0] ? (size_t)size : sizeof buffers[0];
		int error = writer->file->read_at(writer->file, one, buffers[0], step);

		if (error == 0)
			error = writer->file->read_at(writer->file, other, buffers[1], step);
		if (error != 0)
			return error;
		if (memcmp(buffers[0], buffers[1], step) != 0)
			return 0;
		one += step;
		other += step;
		size -= step;
	}
	return 1;
}

/* Whether the file that was just written is also at an earlier block; an error is negative. */
static int is_at(struct writer *writer, size_t earlier)
{
	const struct block *blocks = writer->blocks;
	size_t count = writer->count - writer->first;
	uint64_t size = 0;

	if (earlier + count > writer->first)
		return 0;
	for (size_t i = 0; i < count; i++) {
		if (!is_equal(&blocks[earlier + i], &blocks[writer->first + i]))
			return 0;
		size += blocks[earlier + i].size;
	}
	return compare_bytes(writer, blocks[earlier].offset, blocks[writer->first].offset, size);
}

static int find_earlier(struct writer *writer, size_t *earlier)
{
	ptrdiff_t index = NONE;

	if (writer->start_room > 0)
		index = writer->buckets[bucket_of(writer, &writer->blocks[writer->first])];
	for (; index != NONE; index = writer->starts[index].next) {
		int found = is_at(writer, writer->starts[index].block);

		if (found != 0) {
			*earlier = writer->starts[index].block;
			return found;
		}
	}
	return 0;
}

static int end_file(struct writer *writer, sqfs_u64 *location)
{
	uint64_t offset;
	size_t earlier = 0;
	int found;

	/* nothing but holes */
	if (writer->first == writer->count) {
		*location = 0;
		return 0;
	}
	offset = writer->blocks[writer->first].offset;
	*location = offset;
	found = find_earlier(writer, &earlier);
	if (found <= 0)
		return found < 0 ? found : remember_start(writer);
	*location = writer->blocks[earlier].offset;
	writer->written -= writer->count - writer->first;
	writer->count = writer->first;
	return writer->file->truncate(writer->file, offset);
}

static int write_data_block(sqfs_block_writer_t *base, void *user, sqfs_u32 size, sqfs_u32 checksum, sqfs_u32 flags,
			    const sqfs_u8 *data, sqfs_u64 *location)
{
	struct writer *writer = (struct writer *)base;
	int error = 0;

	(void)user;
	if (flags & SQFS_BLK_FIRST_BLOCK)
		writer->first = writer->count;
	*location = writer->file->get_size(writer->file);
	if (size > 0 && !(flags & SQFS_BLK_IS_SPARSE))
		error = append(writer, size, checksum, (flags & SQFS_BLK_IS_COMPRESSED) != 0, data);
	if (error == 0 && (flags & SQFS_BLK_LAST_BLOCK))
		error = end_file(writer, location);
	return error;
}

static sqfs_u64 get_block_count(const sqfs_block_writer_t *base)
{
	return ((const struct writer *)base)->written;
}

static void destroy(sqfs_object_t *object)
{
	struct writer *writer = (struct writer *)object;

	free(writer->blocks);
	free(writer->starts);
	free(writer->buckets);
	free(writer);
}

sqfs_block_writer_t *sing_blocks_create(sqfs_file_t *file)
{
	struct writer *writer = calloc(1, sizeof *writer);

	if (writer == NULL)
		return NULL;
	writer->base.base.destroy = destroy;
	writer->base.write_data_block = write_data_block;
	writer->base.get_block_count = get_block_count;
	writer->file = file;
	return &writer->base;
}
