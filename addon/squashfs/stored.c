/* Blocks of a file follow each other; stored as they are, they make one piece. Its end may be in a fragment block. */
#include <sqfs/block.h>
#include <sqfs/error.h>

#include "failure.h"
#include "reader_internal.h"
#include "stored.h"

#define NO_FRAGMENT 0xffffffffu

static int store_blocks(const struct sing_image *image, const sqfs_inode_generic_t *inode, uint64_t size,
			struct sing_piece *piece)
{
	size_t count = inode->payload_bytes_used / sizeof(sqfs_u32);
	uint32_t block_size = image->super.block_size;
	sqfs_u64 at;
	int error = sqfs_inode_get_file_block_start(inode, &at);

	*piece = (struct sing_piece){ .offset = at };
	for (size_t i = 0; error == 0 && i < count; i++) {
		uint64_t rest = size - piece->size;
		uint32_t expected = rest < block_size ? (uint32_t)rest : block_size;

		if (SQFS_IS_BLOCK_COMPRESSED(inode->extra[i]) ||
		    SQFS_ON_DISK_BLOCK_SIZE(inode->extra[i]) != expected || expected == 0)
			return SING_SCATTERED;
		piece->size += expected;
	}
	return error;
}

static int store_end(const struct sing_image *image, const sqfs_inode_generic_t *inode, uint64_t length,
		     struct sing_piece *piece)
{
	sqfs_u32 index, offset;
	sqfs_fragment_t fragment;
	int error = sqfs_inode_get_frag_location(inode, &index, &offset);

	if (error != 0)
		return error;
	if (index == NO_FRAGMENT)
		return SQFS_ERROR_CORRUPTED;
	error = sqfs_frag_table_lookup(image->fragments, index, &fragment);
	if (error != 0)
		return error;
	if (SQFS_IS_BLOCK_COMPRESSED(fragment.size))
		return SING_SCATTERED;
	if (offset > SQFS_ON_DISK_BLOCK_SIZE(fragment.size) || length > SQFS_ON_DISK_BLOCK_SIZE(fragment.size) - offset)
		return SQFS_ERROR_CORRUPTED;
	*piece = (struct sing_piece){ .offset = fragment.start_offset + offset, .size = length };
	return 0;
}

int sing_stored(const struct sing_image *image, const sqfs_inode_generic_t *inode,
		struct sing_piece pieces[SING_PIECES_MOST], size_t *count)
{
	sqfs_u64 size;
	int error = sqfs_inode_get_file_size(inode, &size);

	*count = 0;
	if (error == 0)
		error = store_blocks(image, inode, size, &pieces[0]);
	if (error != 0)
		return error;
	*count = pieces[0].size > 0;
	if (pieces[0].size == size)
		return 0;
	error = store_end(image, inode, size - pieces[0].size, &pieces[*count]);
	*count += error == 0;
	return error;
}
