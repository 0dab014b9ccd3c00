/*
 * Reads extended attributes of an image:
 *
 *   inode -> index -> set { place, count, size } -> pairs { type, name size, name, value size, value }
 *
 * A value may also be a reference to one elsewhere. libsquashfs would allocate whatever size a pair names.
 */
#include <endian.h>
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>

#include <sqfs/block.h>
#include <sqfs/error.h>
#include <sqfs/table.h>

#include "reader_internal.h"

#define NO_TABLE 0xffffffffffffffffull

/* What the kernel can hold for one file is far below; this many only a hostile image has. */
enum { PAIR_LIMIT = 4096 };

struct table_head {
	uint64_t start;
	uint32_t count;
	uint32_t unused;
};

static int read_sets(struct sing_image *image, uint64_t at, const struct table_head *head)
{
	uint64_t size = (uint64_t)head->count * sizeof(sqfs_xattr_id_t);
	uint64_t blocks = (size + SQFS_META_BLOCK_SIZE - 1) / SQFS_META_BLOCK_SIZE;
	void *sets;
	int error;

	if (at + sizeof *head > image->super.bytes_used ||
	    blocks * 8 > image->super.bytes_used - at - sizeof *head || head->start >= at)
		return SQFS_ERROR_CORRUPTED;
	error = sqfs_read_table(image->file, image->compressor, size, at + sizeof *head, head->start, at, &sets);
	if (error != 0)
		return error;
	image->attribute_sets = sets;
	image->attribute_set_count = head->count;
	for (uint32_t i = 0; i < head->count; i++) {
		image->attribute_sets[i].xattr = le64toh(image->attribute_sets[i].xattr);
		image->attribute_sets[i].count = le32toh(image->attribute_sets[i].count);
	}
	return 0;
}

int sing_xattrs_load(struct sing_image *image)
{
	uint64_t at = image->super.xattr_id_table_start;
	struct table_head head;
	int error;

	if (at == NO_TABLE)
		return 0;
	error = image->file->read_at(image->file, at, &head, sizeof head);
	if (error != 0)
		return error;
	head.start = le64toh(head.start);
	head.count = le32toh(head.count);
	if (head.count == 0)
		return 0;
	error = read_sets(image, at, &head);
	if (error != 0)
		return error;
	image->attributes_start = head.start;
	image->attributes = sqfs_meta_reader_create(image->file, image->compressor, head.start, at);
	return image->attributes == NULL ? SQFS_ERROR_ALLOC : 0;
}

static int seek(struct sing_image *image, uint64_t place)
{
	uint64_t block = place >> 16;

	if (block >= image->super.bytes_used || (place & 0xffff) >= SQFS_META_BLOCK_SIZE)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	return sqfs_meta_reader_seek(image->attributes, image->attributes_start + block, place & 0xffff);
}

/* The prefix of each type comes first in the name; types of later versions of squashfs have none that we know. */
static int read_name(struct sing_image *image, uint16_t type, uint16_t size, char *name, size_t room)
{
	const char *prefix = sqfs_get_xattr_prefix(type & SQFS_XATTR_PREFIX_MASK);
	size_t length;
	int error;

	if (prefix == NULL)
		return SQFS_ERROR_UNSUPPORTED;
	length = strlen(prefix);
	if (length + size >= room)
		return SQFS_ERROR_CORRUPTED;
	memcpy(name, prefix, length);
	error = sqfs_meta_reader_read(image->attributes, name + length, size);
	name[length + size] = '\0';
	if (error == 0 && memchr(name, '\0', length + size) != NULL)
		return SQFS_ERROR_CORRUPTED;
	return error;
}

static int read_value(struct sing_image *image, char *value, uint32_t *size)
{
	int error = sqfs_meta_reader_read(image->attributes, size, sizeof *size);

	*size = le32toh(*size);
	if (error == 0 && *size > XATTR_SIZE_MAX)
		return SQFS_ERROR_CORRUPTED;
	return error != 0 ? error : sqfs_meta_reader_read(image->attributes, value, *size);
}

static int read_distant_value(struct sing_image *image, char *value, uint32_t *size)
{
	uint64_t place;
	sqfs_u64 block;
	size_t offset;
	uint32_t length;
	int error = sqfs_meta_reader_read(image->attributes, &length, sizeof length);

	if (error == 0 && le32toh(length) != sizeof place)
		error = SQFS_ERROR_CORRUPTED;
	if (error == 0)
		error = sqfs_meta_reader_read(image->attributes, &place, sizeof place);
	if (error != 0)
		return error;
	sqfs_meta_reader_get_position(image->attributes, &block, &offset);
	error = seek(image, le64toh(place));
	if (error == 0)
		error = read_value(image, value, size);
	return error != 0 ? error : sqfs_meta_reader_seek(image->attributes, block, offset);
}

static int read_pair(struct sing_image *image, char *value, sing_xattr_visitor visit, void *user)
{
	char name[XATTR_NAME_MAX + sizeof "security."];
	uint16_t head[2];
	uint32_t size;
	int error = sqfs_meta_reader_read(image->attributes, head, sizeof head);

	if (error != 0)
		return error;
	error = read_name(image, le16toh(head[0]), le16toh(head[1]), name, sizeof name);
	if (error != 0)
		return error;
	if (le16toh(head[0]) & SQFS_XATTR_FLAG_OOL)
		error = read_distant_value(image, value, &size);
	else
		error = read_value(image, value, &size);
	return error != 0 ? error : visit(user, name, value, size);
}

int sing_image_xattrs(struct sing_image *image, const sqfs_inode_generic_t *inode, sing_xattr_visitor visit, void *user)
{
	const sqfs_xattr_id_t *set;
	sqfs_u32 index;
	char *value;
	int error = sqfs_inode_get_xattr_index(inode, &index);

	if (error != 0 || index == 0xffffffff || image->attributes == NULL)
		return error;
	if (index >= image->attribute_set_count)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	set = &image->attribute_sets[index];
	if (set->count > PAIR_LIMIT)
		return SQFS_ERROR_CORRUPTED;
	value = malloc(XATTR_SIZE_MAX);
	if (value == NULL)
		return ENOMEM;
	error = seek(image, set->xattr);
	for (uint32_t i = 0; error == 0 && i < set->count; i++)
		error = read_pair(image, value, visit, user);
	free(value);
	return error;
}
