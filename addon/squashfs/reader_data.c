/* Reads the contents of files: whole blocks in a row, then the end of the file out of a block that it shares. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqfs/block.h>
#include <sqfs/error.h>

#include "file.h"
#include "reader_internal.h"
#include "release.h"

#define NO_FRAGMENT 0xffffffffu
#define NOWHERE UINT64_MAX

struct sing_data {
	const struct sing_image *image;
	sqfs_file_t *file;
	sqfs_compressor_t *compressor;
	uint64_t block_at; /* where the block in `block` lies, or NOWHERE */
	size_t block_size;
	uint32_t fragment; /* number of the block in fragment_block, or NO_FRAGMENT */
	size_t fragment_size;
	char *packed;
	char *block;
	char *fragment_block;
};

int sing_data_open(const struct sing_image *image, struct sing_data **out)
{
	struct sing_data *data = calloc(1, sizeof *data);
	size_t size = image->super.block_size;

	if (data == NULL)
		return ENOMEM;
	data->image = image;
	data->fragment = NO_FRAGMENT;
	data->block_at = NOWHERE;
	/* its own window, for its own error */
	data->file = sqfs_copy(image->file);
	data->compressor = sqfs_copy(image->compressor);
	data->packed = malloc(size);
	data->block = malloc(size);
	data->fragment_block = malloc(size);
	if (data->file == NULL || data->compressor == NULL || data->packed == NULL || data->block == NULL ||
	    data->fragment_block == NULL) {
		sing_data_close(data);
		return ENOMEM;
	}
	*out = data;
	return 0;
}

void sing_data_close(struct sing_data *data)
{
	if (data == NULL)
		return;
	sing_release(data->compressor);
	sing_release(data->file);
	free(data->packed);
	free(data->block);
	free(data->fragment_block);
	free(data);
}

uint32_t sing_fragment_of(const sqfs_inode_generic_t *inode)
{
	sqfs_u32 index;
	sqfs_u32 offset;

	return sqfs_inode_get_frag_location(inode, &index, &offset) == 0 ? index : NO_FRAGMENT;
}

/* Read a block of `word` (a size and a bit) at `at` into `to`, which holds a whole one. Gives its unpacked size. */
static int read_block(struct sing_data *data, uint64_t at, uint32_t word, char *to, size_t *size)
{
	uint32_t limit = data->image->super.block_size;
	uint32_t packed = SQFS_ON_DISK_BLOCK_SIZE(word);
	sqfs_s32 unpacked;
	int error;

	if (packed > limit)
		return SQFS_ERROR_CORRUPTED;
	*size = packed;
	if (!SQFS_IS_BLOCK_COMPRESSED(word))
		return data->file->read_at(data->file, at, to, packed);
	error = data->file->read_at(data->file, at, data->packed, packed);
	if (error != 0)
		return error;
	unpacked = data->compressor->do_block(data->compressor, (const sqfs_u8 *)data->packed, packed, (sqfs_u8 *)to,
					      limit);
	if (unpacked <= 0)
		return unpacked == 0 ? SQFS_ERROR_CORRUPTED : unpacked;
	*size = (size_t)unpacked;
	return 0;
}

static int load_fragment(struct sing_data *data, uint32_t index)
{
	sqfs_fragment_t fragment;
	int error;

	if (index == data->fragment)
		return 0;
	data->fragment = NO_FRAGMENT;
	error = sqfs_frag_table_lookup(data->image->fragments, index, &fragment);
	if (error == 0)
		error = read_block(data, fragment.start_offset, fragment.size, data->fragment_block,
				   &data->fragment_size);
	if (error == 0)
		data->fragment = index;
	return error;
}

/* The last block stays, for who reads a file in small stretches. */
static int load_block(struct sing_data *data, uint64_t at, uint32_t word)
{
	int error;

	if (at == data->block_at)
		return 0;
	data->block_at = NOWHERE;
	error = read_block(data, at, word, data->block, &data->block_size);
	if (error == 0)
		data->block_at = at;
	return error;
}

/* The bytes of a file that are wanted: [from, to). */
struct stretch {
	uint64_t from;
	uint64_t to;
	sing_data_visitor visit;
	void *user;
};

/* Give what is wanted of `size` bytes that lie at `offset` of the file. */
static int give(const struct stretch *stretch, uint64_t offset, const char *bytes, size_t size)
{
	uint64_t from = stretch->from > offset ? stretch->from : offset;
	uint64_t to = stretch->to < offset + size ? stretch->to : offset + size;

	if (from >= to)
		return 0;
	return stretch->visit(stretch->user, from, bytes == NULL ? NULL : bytes + (from - offset), (size_t)(to - from));
}

static int read_blocks(struct sing_data *data, const sqfs_inode_generic_t *inode, uint64_t size,
		       const struct stretch *stretch)
{
	size_t count = inode->payload_bytes_used / sizeof(sqfs_u32);
	uint32_t block_size = data->image->super.block_size;
	sqfs_u64 at;
	uint64_t offset = 0;
	int error = sqfs_inode_get_file_block_start(inode, &at);

	for (size_t i = 0; error == 0 && i < count && offset < stretch->to; i++, offset += block_size) {
		uint32_t word = inode->extra[i];
		size_t expected = size - offset < block_size ? (size_t)(size - offset) : block_size;

		if (offset >= size)
			return SQFS_ERROR_CORRUPTED;
		if (offset + expected <= stretch->from) {
			at += SQFS_ON_DISK_BLOCK_SIZE(word);
			continue;
		}
		if (SQFS_ON_DISK_BLOCK_SIZE(word) == 0) {
			error = give(stretch, offset, NULL, expected);
			continue;
		}
		error = load_block(data, at, word);
		if (error == 0)
			error = data->block_size == expected ? give(stretch, offset, data->block, expected)
							     : SQFS_ERROR_CORRUPTED;
		at += SQFS_ON_DISK_BLOCK_SIZE(word);
	}
	return error;
}

static int read_end(struct sing_data *data, const sqfs_inode_generic_t *inode, uint64_t size,
		    const struct stretch *stretch)
{
	size_t length = (size_t)(size % data->image->super.block_size);
	sqfs_u32 index;
	sqfs_u32 offset;
	int error = sqfs_inode_get_frag_location(inode, &index, &offset);

	if (error != 0 || index == NO_FRAGMENT || length == 0 || size - length >= stretch->to)
		return error;
	error = load_fragment(data, index);
	if (error != 0)
		return error;
	if (offset > data->fragment_size || length > data->fragment_size - offset)
		return SQFS_ERROR_CORRUPTED;
	return give(stretch, size - length, data->fragment_block + offset, length);
}

int sing_data_range(struct sing_data *data, const sqfs_inode_generic_t *inode, uint64_t from, uint64_t length,
		    sing_data_visitor visit, void *user)
{
	struct stretch stretch = { .from = from, .visit = visit, .user = user };
	sqfs_u64 size;
	int error = sqfs_inode_get_file_size(inode, &size);

	if (error != 0 || from >= size)
		return error;
	stretch.to = length < size - from ? from + length : size;
	error = read_blocks(data, inode, size, &stretch);
	if (error == 0)
		error = read_end(data, inode, size, &stretch);
	return sing_file_reason(data->file, error);
}

int sing_data_read(struct sing_data *data, const sqfs_inode_generic_t *inode, sing_data_visitor visit, void *user)
{
	return sing_data_range(data, inode, 0, UINT64_MAX, visit, user);
}
