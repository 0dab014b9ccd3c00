/*
 * Lists a directory of an image. Written out here because libsquashfs has it only since 1.2, and Ubuntu 22.04 has 1.1.
 */
#include <string.h>

#include <sqfs/dir.h>
#include <sqfs/error.h>
#include <sqfs/inode.h>
#include <sqfs/super.h>

#include "failure.h"
#include "reader_internal.h"
#include "tree.h"

static bool is_name(const char *name, size_t length)
{
	if (length == 0 || length > SING_NAME_LIMIT || memchr(name, '/', length) != NULL ||
	    memchr(name, '\0', length) != NULL)
		return false;
	return name[0] != '.' || (length != 1 && (length != 2 || name[1] != '.'));
}

static int visit_name(const sqfs_dir_entry_t *entry, uint64_t place, sing_name_visitor visit, void *user)
{
	size_t length = (size_t)entry->size + 1;
	char name[SING_NAME_LIMIT + 1];

	if (!is_name((const char *)entry->name, length))
		return SING_NAME;
	memcpy(name, entry->name, length);
	name[length] = '\0';
	return visit(user, name, place);
}

/*
 * Where a listing is: runs of names follow each other, each with a header that says how many there are and in which block
 * their inodes lie.
 */
struct listing {
	uint64_t block;
	size_t offset;
	uint64_t size; /* bytes that are left */
	uint32_t names; /* that are left in this run */
	uint32_t inode_block;
};

/* The size counts three bytes more than there are, for the names . and .. that are not stored. */
static uint64_t stored_size(uint64_t size)
{
	return size > 3 ? size - 3 : 0;
}

static int begin_listing(const sqfs_super_t *super, const sqfs_inode_generic_t *inode, struct listing *listing)
{
	*listing = (struct listing){ .block = super->directory_table_start };
	if (inode->base.type == SQFS_INODE_DIR) {
		listing->block += inode->data.dir.start_block;
		listing->offset = inode->data.dir.offset;
		listing->size = stored_size(inode->data.dir.size);
	} else if (inode->base.type == SQFS_INODE_EXT_DIR) {
		listing->block += inode->data.dir_ext.start_block;
		listing->offset = inode->data.dir_ext.offset;
		listing->size = stored_size(inode->data.dir_ext.size);
	} else {
		return SQFS_ERROR_NOT_DIR;
	}
	return 0;
}

static int read_run(sqfs_meta_reader_t *reader, struct listing *listing)
{
	sqfs_dir_header_t header;
	int error;

	if (listing->size < sizeof header)
		return SQFS_ERROR_CORRUPTED;
	error = sqfs_meta_reader_read_dir_header(reader, &header);
	if (error == 0 && header.count >= SQFS_MAX_DIR_ENT)
		error = SQFS_ERROR_CORRUPTED;
	if (error != 0)
		return error;
	listing->size -= sizeof header;
	listing->names = header.count + 1;
	listing->inode_block = header.start_block;
	return 0;
}

/* The caller frees *out. The reader may have been used for something else meanwhile: its place is sought every time. */
static int next_name(sqfs_meta_reader_t *reader, struct listing *listing, sqfs_dir_entry_t **out, uint64_t *place)
{
	int error = sqfs_meta_reader_seek(reader, listing->block, listing->offset);
	sqfs_u64 block;
	size_t length;

	if (error == 0 && listing->names == 0)
		error = read_run(reader, listing);
	if (error == 0)
		error = sqfs_meta_reader_read_dir_ent(reader, out);
	if (error != 0)
		return error;
	length = sizeof **out + (*out)->size + 1;
	if (length > listing->size)
		return SQFS_ERROR_CORRUPTED;
	listing->size -= length;
	listing->names--;
	sqfs_meta_reader_get_position(reader, &block, &listing->offset);
	listing->block = block;
	*place = (uint64_t)listing->inode_block << 16 | (*out)->offset;
	return 0;
}

int sing_image_list(struct sing_image *image, const sqfs_inode_generic_t *directory, sing_name_visitor visit, void *user)
{
	struct listing listing;
	int error = begin_listing(&image->super, directory, &listing);

	if (error != 0)
		return sing_image_reason(image, error);
	while (error == 0 && listing.size > 0) {
		sqfs_dir_entry_t *entry = NULL;
		uint64_t place = 0;

		error = next_name(image->directories, &listing, &entry, &place);
		error = error != 0 ? sing_image_reason(image, error) : visit_name(entry, place, visit, user);
		sqfs_free(entry);
	}
	return error;
}
