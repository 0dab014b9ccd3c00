/* Opens an image and finds things in it. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqfs/block.h>
#include <sqfs/dir.h>
#include <sqfs/error.h>

#include "decompressor.h"
#include "failure.h"
#include "file.h"
#include "plain.h"
#include "reader_internal.h"
#include "release.h"
#include "tree.h"

#define NO_TABLE 0xffffffffffffffffull

int sing_image_reason(const struct sing_image *image, int error)
{
	return sing_file_reason(image->file, error);
}

static bool inside(uint64_t start, uint64_t from, uint64_t to)
{
	return start >= from && start < to;
}

/* Tables must lie in the order that squashfs demands. A table of n entries has a list of its blocks in the file. */
static int check_super(const sqfs_super_t *super, uint64_t size)
{
	uint64_t end = super->bytes_used;
	uint64_t fragment_blocks = ((uint64_t)super->fragment_entry_count * 16 + SQFS_META_BLOCK_SIZE - 1) /
				   SQFS_META_BLOCK_SIZE;

	if (end > size)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	if (super->block_size < SQFS_MIN_BLOCK_SIZE || super->block_size > SQFS_MAX_BLOCK_SIZE ||
	    super->block_log > 20 || super->block_size != 1u << super->block_log)
		return SQFS_ERROR_SUPER_BLOCK_SIZE;
	if (!inside(super->inode_table_start, sizeof *super, end) ||
	    !inside(super->directory_table_start, super->inode_table_start, end) ||
	    !inside(super->id_table_start, super->directory_table_start, end))
		return SQFS_ERROR_CORRUPTED;
	if (super->fragment_entry_count > 0 && !(super->flags & SQFS_FLAG_NO_FRAGMENTS) &&
	    (!inside(super->fragment_table_start, super->directory_table_start, end) ||
	     fragment_blocks * 8 > end - super->fragment_table_start))
		return SQFS_ERROR_CORRUPTED;
	if (super->xattr_id_table_start != NO_TABLE && !inside(super->xattr_id_table_start, super->id_table_start, end))
		return SQFS_ERROR_CORRUPTED;
	return 0;
}

/* Where the directory table ends at the latest: at the next thing that has a place. */
static uint64_t directories_end(const sqfs_super_t *super)
{
	uint64_t end = super->id_table_start;

	if (inside(super->fragment_table_start, super->directory_table_start, end))
		end = super->fragment_table_start;
	if (inside(super->export_table_start, super->directory_table_start, end))
		end = super->export_table_start;
	return end;
}

static int load_tables(struct sing_image *image)
{
	sqfs_super_t *super = &image->super;
	int error;

	image->inodes = sqfs_meta_reader_create(image->file, image->compressor, super->inode_table_start,
						super->directory_table_start);
	image->directories = sqfs_meta_reader_create(image->file, image->compressor, super->directory_table_start,
						     directories_end(super));
	image->ids = sqfs_id_table_create(0);
	image->fragments = sqfs_frag_table_create(0);
	if (image->inodes == NULL || image->directories == NULL || image->ids == NULL || image->fragments == NULL)
		return SQFS_ERROR_ALLOC;
	error = sqfs_id_table_read(image->ids, image->file, super, image->compressor);
	if (error == 0)
		error = sqfs_frag_table_read(image->fragments, image->file, super, image->compressor);
	return error != 0 ? error : sing_xattrs_load(image);
}

static int open_image(struct sing_image *image, int fd, uint64_t offset, uint64_t size, int key)
{
	int error = sing_plain_open(fd, offset, size, key, &image->file);

	if (error == 0)
		error = sqfs_super_read(&image->super, image->file);
	if (error == 0)
		error = check_super(&image->super, image->file->get_size(image->file));
	if (error == 0)
		error = sing_decompressor_create(&image->super, image->file, &image->compressor);
	if (error == 0)
		error = load_tables(image);
	return sing_image_reason(image, error);
}

int sing_image_open(int fd, uint64_t offset, uint64_t size, int key, struct sing_image **out)
{
	struct sing_image *image = calloc(1, sizeof *image);
	int error;

	if (image == NULL)
		return ENOMEM;
	error = open_image(image, fd, offset, size, key);
	if (error != 0)
		sing_image_close(image);
	else
		*out = image;
	return error;
}

void sing_image_close(struct sing_image *image)
{
	if (image == NULL)
		return;
	sing_release(image->attributes);
	sing_release(image->directories);
	sing_release(image->inodes);
	sing_release(image->fragments);
	sing_release(image->ids);
	sing_release(image->compressor);
	sing_release(image->file);
	free(image->attribute_sets);
	free(image);
}

const sqfs_super_t *sing_image_super(const struct sing_image *image)
{
	return &image->super;
}

/* Whether the table has room for the block list of a file: it names every whole block. */
static bool list_fits(const struct sing_image *image, uint64_t file_size)
{
	uint64_t room = image->super.directory_table_start - image->super.inode_table_start;

	/* a block of the table takes three bytes at least and is unpacked to one of SQFS_META_BLOCK_SIZE at most */
	return file_size / image->super.block_size <= room / 3 * (SQFS_META_BLOCK_SIZE / sizeof(sqfs_u32));
}

/* Check the sizes in an inode before libsquashfs allocates memory for what they say. Leaves the reader at its beginning. */
static int check_sizes(struct sing_image *image, uint64_t block, size_t offset)
{
	union {
		sqfs_inode_file_t file;
		sqfs_inode_file_ext_t file_ext;
		sqfs_inode_slink_t slink;
	} kind;
	sqfs_inode_t base;
	int error = sqfs_meta_reader_seek(image->inodes, image->super.inode_table_start + block, offset);

	if (error == 0)
		error = sqfs_meta_reader_read(image->inodes, &base, sizeof base);
	if (error != 0)
		return error;
	switch (le16toh(base.type)) {
	case SQFS_INODE_FILE:
		error = sqfs_meta_reader_read(image->inodes, &kind.file, sizeof kind.file);
		return error != 0 || list_fits(image, le32toh(kind.file.file_size)) ? error : SQFS_ERROR_CORRUPTED;
	case SQFS_INODE_EXT_FILE:
		error = sqfs_meta_reader_read(image->inodes, &kind.file_ext, sizeof kind.file_ext);
		return error != 0 || list_fits(image, le64toh(kind.file_ext.file_size)) ? error : SQFS_ERROR_CORRUPTED;
	case SQFS_INODE_SLINK:
	case SQFS_INODE_EXT_SLINK:
		error = sqfs_meta_reader_read(image->inodes, &kind.slink, sizeof kind.slink);
		return error != 0 || le32toh(kind.slink.target_size) <= TARGET_LIMIT ? error : SQFS_ERROR_CORRUPTED;
	default:
		return 0;
	}
}

int sing_image_inode(struct sing_image *image, uint64_t place, sqfs_inode_generic_t **out)
{
	uint64_t block = place >> 16;
	size_t offset = place & 0xffff;
	int error;

	if (block >= image->super.directory_table_start || offset >= SQFS_META_BLOCK_SIZE)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	error = check_sizes(image, block, offset);
	if (error == 0)
		error = sqfs_meta_reader_read_inode(image->inodes, &image->super, block, offset, out);
	return sing_image_reason(image, error);
}

int sing_image_target(const sqfs_inode_generic_t *inode, const char **out, size_t *length)
{
	if (inode->base.type != SQFS_INODE_SLINK && inode->base.type != SQFS_INODE_EXT_SLINK)
		return EINVAL;
	*out = (const char *)inode->extra;
	*length = inode->data.slink.target_size;
	return *length > TARGET_LIMIT || *length == 0 || memchr(*out, '\0', *length) != NULL ? SQFS_ERROR_CORRUPTED : 0;
}

static void stat_kind(const sqfs_inode_generic_t *inode, struct sing_stat *out)
{
	uint32_t device = 0;

	switch ((SQFS_INODE_TYPE)inode->base.type) {
	case SQFS_INODE_DIR:
		out->size = inode->data.dir.size;
		out->links = inode->data.dir.nlink;
		break;
	case SQFS_INODE_EXT_DIR:
		out->size = inode->data.dir_ext.size;
		out->links = inode->data.dir_ext.nlink;
		break;
	case SQFS_INODE_FILE:
		out->size = inode->data.file.file_size;
		out->links = 1;
		break;
	case SQFS_INODE_EXT_FILE:
		out->size = inode->data.file_ext.file_size;
		out->links = inode->data.file_ext.nlink;
		break;
	case SQFS_INODE_SLINK:
	case SQFS_INODE_EXT_SLINK:
		out->size = inode->data.slink.target_size;
		out->links = inode->data.slink.nlink;
		break;
	case SQFS_INODE_BDEV:
	case SQFS_INODE_CDEV:
	case SQFS_INODE_EXT_BDEV:
	case SQFS_INODE_EXT_CDEV:
		device = inode->data.dev.devno;
		out->links = inode->data.dev.nlink;
		break;
	case SQFS_INODE_FIFO:
	case SQFS_INODE_SOCKET:
	case SQFS_INODE_EXT_FIFO:
	case SQFS_INODE_EXT_SOCKET:
		out->links = inode->data.ipc.nlink;
		break;
	}
	out->major = (device >> 8) & 0xfff;
	out->minor = (device & 0xff) | ((device >> 12) & 0xfff00);
}

int sing_image_stat(const struct sing_image *image, const sqfs_inode_generic_t *inode, struct sing_stat *out)
{
	int error;

	*out = (struct sing_stat){
		.mode = inode->base.mode,
		.mtime = inode->base.mod_time,
		.number = inode->base.inode_number,
	};
	stat_kind(inode, out);
	error = sqfs_id_table_index_to_id(image->ids, inode->base.uid_idx, &out->uid);
	return error != 0 ? error : sqfs_id_table_index_to_id(image->ids, inode->base.gid_idx, &out->gid);
}
