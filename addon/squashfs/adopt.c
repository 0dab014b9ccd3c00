/*
 * A file has a stretch of blocks of its own, and often an end in a fragment block that it shares with others. Both are copied
 * when the first file that needs them comes.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include <sqfs/block.h>
#include <sqfs/error.h>

#include "adopt.h"
#include "reader_internal.h"

enum { BUFFER_SIZE = 1024 * 1024, FIRST_ROOM = 1024 };

/* The stored size of a block: its lower bits, the one above says that it is not compressed. */
#define STORED(size) ((size) & 0x00ffffffu)

static const uint32_t no_fragment = 0xffffffff;

/* Where a stretch of blocks went, the longest that begins there. */
struct moved {
	uint64_t from;
	uint64_t to;
	uint64_t size;
};

struct sing_adoption {
	struct sing_image *image;
	struct sing_inode **files;
	size_t count;
	size_t room;
	uint32_t *fragments; /* new numbers */
	void *moved;         /* tree of struct moved */
	uint8_t *buffer;
};

static int forget_fragments(struct sing_adoption *adoption)
{
	size_t count = adoption->image->super.fragment_entry_count;

	adoption->fragments = malloc((count + 1) * sizeof *adoption->fragments);
	for (size_t i = 0; adoption->fragments != NULL && i < count; i++)
		adoption->fragments[i] = no_fragment;
	return adoption->fragments == NULL ? ENOMEM : 0;
}

static int set_up(struct sing_adoption *adoption, const struct sing_writer_options *options)
{
	const sqfs_super_t *super = &adoption->image->super;

	if (super->compression_id != options->compressor || super->block_size != options->block_size)
		return SQFS_ERROR_UNSUPPORTED;
	adoption->buffer = malloc(BUFFER_SIZE);
	return adoption->buffer == NULL ? ENOMEM : forget_fragments(adoption);
}

int sing_adoption_open(struct sing_image *image, const struct sing_writer_options *options, struct sing_adoption **out)
{
	struct sing_adoption *adoption = calloc(1, sizeof *adoption);
	int error;

	if (adoption == NULL)
		return ENOMEM;
	adoption->image = image;
	error = set_up(adoption, options);
	if (error == 0)
		*out = adoption;
	else
		sing_adoption_close(adoption);
	return error;
}

void sing_adoption_close(struct sing_adoption *adoption)
{
	if (adoption == NULL)
		return;
	tdestroy(adoption->moved, free);
	free(adoption->files);
	free(adoption->fragments);
	free(adoption->buffer);
	free(adoption);
}

static int remember(struct sing_adoption *adoption, struct sing_inode *inode)
{
	if (adoption->count == adoption->room) {
		size_t room = adoption->room == 0 ? FIRST_ROOM : adoption->room * 2;
		struct sing_inode **files = reallocarray(adoption->files, room, sizeof *files);

		if (files == NULL)
			return ENOMEM;
		adoption->files = files;
		adoption->room = room;
	}
	adoption->files[adoption->count++] = inode;
	return 0;
}

/* Names and attributes are for the new image to give. */
static int make_plain(sqfs_inode_generic_t *file)
{
	if (file->base.type != SQFS_INODE_EXT_FILE)
		return 0;
	file->data.file_ext.nlink = 1;
	file->data.file_ext.xattr_idx = SING_NO_XATTRS;
	return sqfs_inode_make_basic(file);
}

int sing_adopt(struct sing_adoption *adoption, sqfs_inode_generic_t *file, struct sing_inode *inode)
{
	int error = make_plain(file);

	if (error == 0)
		error = remember(adoption, inode);
	if (error == 0)
		inode->file = file;
	return error;
}

/* Append a stretch of the old image to the new one. */
static int append(struct sing_adoption *adoption, sqfs_file_t *to, uint64_t offset, uint64_t size, uint64_t *place)
{
	sqfs_file_t *from = adoption->image->file;

	*place = to->get_size(to);
	while (size > 0) {
		size_t step = size < BUFFER_SIZE ? (size_t)size : BUFFER_SIZE;
		int error = from->read_at(from, offset, adoption->buffer, step);

		if (error != 0)
			return sing_image_reason(adoption->image, error);
		error = to->write_at(to, to->get_size(to), adoption->buffer, step);
		if (error != 0)
			return error;
		offset += step;
		size -= step;
	}
	return 0;
}

static int by_source(const void *left, const void *right)
{
	const struct moved *a = left;
	const struct moved *b = right;

	return a->from < b->from ? -1 : a->from > b->from;
}

static int find_moved(struct sing_adoption *adoption, uint64_t from, struct moved **out)
{
	struct moved *moved = calloc(1, sizeof *moved);
	struct moved **found;

	if (moved == NULL)
		return ENOMEM;
	moved->from = from;
	found = tsearch(moved, &adoption->moved, by_source);
	if (found == NULL || *found != moved)
		free(moved);
	if (found == NULL)
		return ENOMEM;
	*out = *found;
	return 0;
}

/* A file that is the same as another one, or as the beginning of a longer one, has its stretch: the longer may come later. */
static int move_stretch(struct sing_adoption *adoption, sqfs_file_t *to, uint64_t from, uint64_t size, uint64_t *place)
{
	struct moved *moved;
	int error = find_moved(adoption, from, &moved);

	if (error == 0 && moved->size < size) {
		error = append(adoption, to, from, size, &moved->to);
		moved->size = size;
	}
	if (error == 0)
		*place = moved->to;
	return error;
}

static int copy_blocks(struct sing_adoption *adoption, sqfs_file_t *to, sqfs_inode_generic_t *file)
{
	size_t count = sqfs_inode_get_file_block_count(file);
	sqfs_u64 start = 0, place = 0;
	uint64_t size = 0;
	int error;

	for (size_t i = 0; i < count; i++) {
		if (STORED(file->extra[i]) > adoption->image->super.block_size)
			return SQFS_ERROR_CORRUPTED;
		size += STORED(file->extra[i]);
	}
	error = sqfs_inode_get_file_block_start(file, &start);
	if (error == 0 && size > 0)
		error = move_stretch(adoption, to, start, size, &place);
	return error != 0 ? error : sqfs_inode_set_file_block_start(file, place);
}

static int copy_fragment(struct sing_adoption *adoption, sqfs_file_t *to, sqfs_frag_table_t *fragments, uint32_t number)
{
	sqfs_fragment_t entry;
	uint64_t place;
	int error = sqfs_frag_table_lookup(adoption->image->fragments, number, &entry);

	if (error != 0)
		return error;
	if (STORED(entry.size) > adoption->image->super.block_size)
		return SQFS_ERROR_CORRUPTED;
	error = append(adoption, to, entry.start_offset, STORED(entry.size), &place);
	return error != 0 ? error : sqfs_frag_table_append(fragments, place, entry.size, &adoption->fragments[number]);
}

static int copy_end(struct sing_adoption *adoption, sqfs_file_t *to, sqfs_frag_table_t *fragments,
		    sqfs_inode_generic_t *file)
{
	sqfs_u32 number, offset;
	int error = sqfs_inode_get_frag_location(file, &number, &offset);

	if (error != 0 || number == no_fragment)
		return error;
	if (number >= adoption->image->super.fragment_entry_count)
		return SQFS_ERROR_CORRUPTED;
	if (adoption->fragments[number] == no_fragment)
		error = copy_fragment(adoption, to, fragments, number);
	return error != 0 ? error : sqfs_inode_set_frag_location(file, adoption->fragments[number], offset);
}

int sing_adoption_copy(struct sing_adoption *adoption, sqfs_file_t *file, sqfs_frag_table_t *fragments)
{
	for (size_t i = 0; i < adoption->count; i++) {
		sqfs_inode_generic_t *inode = adoption->files[i]->file;
		int error = copy_blocks(adoption, file, inode);

		if (error == 0)
			error = copy_end(adoption, file, fragments, inode);
		if (error != 0)
			return error;
	}
	return 0;
}
