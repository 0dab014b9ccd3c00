/* The image as a whole: super block, tables of numbers, damage. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqfs/error.h>

#include "ahead.h"
#include "file.h"
#include "image.h"
#include "layout.h"
#include "unpack.h"

enum {
	/* memory for unpacked data, and for metadata: a Debian root of 12,000 files has 1 MB of the latter */
	BLOCK_CACHE_SIZE = 8 * 1024 * 1024,
	METADATA_BLOCKS = 160,
	/* a metadata block begins with its size; the high bit says "not compressed" */
	METADATA_HEADER = 2,
	METADATA_PLAIN = 0x8000,
};

int image_damaged(const struct image *image, const char *format, ...)
{
	char text[256];
	va_list arguments;

	if (!image->debug)
		return -EIO;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	/* stderr is not buffered, and locked: lines of several threads do not mix */
	fprintf(stderr, "sing-squashfs: %s\n", text);
	return -EIO;
}

/* Header and body are read at once: a second system call would cost more than the bytes that are not needed. */
static int load_metadata(struct image *image, struct block *block)
{
	uint8_t bytes[METADATA_HEADER + METADATA_SIZE];
	uint64_t at = block->extent.at;
	uint64_t rest = image->super.bytes_used > at ? image->super.bytes_used - at : 0;
	size_t have = rest < sizeof bytes ? (size_t)rest : sizeof bytes;
	uint32_t size;
	int got;

	if (have <= METADATA_HEADER || image->file->read_at(image->file, at, bytes, have) != 0)
		return image_damaged(image, "metadata at %" PRIu64 " lies outside of the image", at);
	size = get16(bytes) & ~(uint32_t)METADATA_PLAIN;
	if (size == 0 || size > have - METADATA_HEADER)
		return image_damaged(image, "metadata at %" PRIu64 " claims %" PRIu32 " bytes", at, size);
	if (get16(bytes) & METADATA_PLAIN) {
		memcpy(block->data, bytes + METADATA_HEADER, size);
		got = (int)size;
	} else {
		got = unpack_bytes(image, bytes + METADATA_HEADER, size, block->data, METADATA_SIZE);
	}
	if (got < 0)
		return got == -EIO ? image_damaged(image, "metadata at %" PRIu64 " does not unpack", at) : got;
	block->size = (uint32_t)got;
	block->next = at + METADATA_HEADER + size;
	return 0;
}

static const char *check_super(const sqfs_super_t *super, uint64_t size)
{
	if (super->bytes_used > size)
		return "the image is cut off";
	if (super->inode_table_start >= super->bytes_used || super->directory_table_start > super->bytes_used ||
	    super->inode_table_start >= super->directory_table_start)
		return "the image has no place for its inodes";
	if (super->id_table_start >= super->bytes_used || super->id_count == 0)
		return "the image has no table of owners";
	if (super->compression_id < SQFS_COMP_MIN || super->compression_id > SQFS_COMP_MAX)
		return "the image uses an unknown compression";
	return NULL;
}

/* Each thread, also of those that read ahead, holds at most one block of data: with so many nobody has to wait. */
static unsigned block_count(uint32_t block_size, unsigned threads)
{
	unsigned count = BLOCK_CACHE_SIZE / block_size;

	return count > 2 * threads ? count : 2 * threads;
}

struct image *image_open(sqfs_file_t *file, unsigned threads, const char **reason)
{
	struct image *image = calloc(1, sizeof *image);

	*reason = "no memory";
	if (image == NULL)
		return NULL;
	image->file = file;
	if (sqfs_super_read(&image->super, file) != 0) {
		*reason = "there is no squashfs image";
		return NULL;
	}
	*reason = check_super(&image->super, file->get_size(file));
	if (*reason != NULL)
		return NULL;
	*reason = "no memory";
	image->metadata = cache_create(image, METADATA_BLOCKS, METADATA_SIZE, load_metadata);
	image->blocks = cache_create(image, block_count(image->super.block_size, threads), image->super.block_size,
				     file_load_block);
	image->ahead = ahead_create(image, threads);
	image->trails = trails_create();
	return image->metadata && image->blocks && image->ahead && image->trails ? image : NULL;
}

static int read_place(struct image *image, uint64_t table, uint64_t block, uint64_t *place)
{
	uint8_t bytes[8];

	if (image->file->read_at(image->file, table + block * sizeof bytes, bytes, sizeof bytes) != 0)
		return image_damaged(image, "the table at %" PRIu64 " lies outside of the image", table);
	*place = get64(bytes);
	return 0;
}

static int read_bytes(struct image *image, struct position at, uint32_t size, void *to)
{
	CURSOR cursor = { 0 };
	int error = cursor_seek(&cursor, image, at, image->super.bytes_used);

	return error != 0 ? error : cursor_read(&cursor, to, size);
}

int image_table_entry(struct image *image, uint64_t table, uint32_t index, uint32_t size, void *entry)
{
	struct position at = { .offset = (uint64_t)index * size % METADATA_SIZE };
	int error = read_place(image, table, (uint64_t)index * size / METADATA_SIZE, &at.block);

	return error != 0 ? error : read_bytes(image, at, size, entry);
}

/* Where the first block of the table lies is remembered: every inode has two owners, and one block is all of most tables. */
static int read_id_place(struct image *image, uint64_t block, uint64_t *place)
{
	int error;

	*place = block == 0 ? atomic_load(&image->first_ids) : 0;
	if (*place != 0)
		return 0;
	error = read_place(image, image->super.id_table_start, block, place);
	if (error == 0 && block == 0)
		atomic_store(&image->first_ids, *place);
	return error;
}

int image_id(struct image *image, uint16_t index, uint32_t *id)
{
	struct position at = { .offset = index * 4u % METADATA_SIZE };
	uint8_t bytes[4];
	int error;

	if (index >= image->super.id_count)
		return image_damaged(image, "there is no owner %d", index);
	error = read_id_place(image, index * 4u / METADATA_SIZE, &at.block);
	if (error == 0)
		error = read_bytes(image, at, sizeof bytes, bytes);
	if (error == 0)
		*id = get32(bytes);
	return error;
}

uint64_t image_metadata_bound(uint64_t from, uint64_t to)
{
	/* a packed block takes its header and at least one byte */
	return to > from ? ((to - from) / (METADATA_HEADER + 1) + 1) * METADATA_SIZE : 0;
}
