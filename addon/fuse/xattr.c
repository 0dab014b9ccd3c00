/*
 * Extended attributes are sets, shared by inodes that have the same: a table of sets (where, how many), and for each
 * attribute its prefix, the rest of its name, and its value or the place of a value that occurs more than once.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sqfs/xattr.h>

#include "xattr.h"

enum {
	TABLE_HEADER = 16,
	SET_SIZE = 16,
	NAME_HEADER = 4,
	VALUE_HEADER = 4,
	/* the longest name the kernel knows, with its prefix */
	NAME_BYTES = 255,
};

/* A walk over a set. */
struct walk {
	struct cursor cursor;
	uint64_t table;
	uint32_t left;
};

#define WALK __attribute__((cleanup(close_walk))) struct walk

static void close_walk(struct walk *walk)
{
	cursor_close(&walk->cursor);
}

bool xattr_exist(const struct image *image)
{
	return image->super.xattr_id_table_start != NO_TABLE && !(image->super.flags & SQFS_FLAG_NO_XATTRS);
}

/* A reference: offset of a metadata block behind the table's start << 16 | byte in it. */
static int seek(struct cursor *cursor, struct image *image, uint64_t table, uint64_t reference)
{
	struct position at = { table + (reference >> 16), reference & 0xffff };

	return cursor_seek(cursor, image, at, image->super.bytes_used);
}

static int begin(struct walk *walk, struct image *image, uint32_t index)
{
	uint8_t header[TABLE_HEADER];
	uint8_t set[SET_SIZE];
	uint64_t start = image->super.xattr_id_table_start;
	int error;

	if (image->file->read_at(image->file, start, header, sizeof header) != 0)
		return image_damaged(image, "the attributes at %" PRIu64 " lie outside of the image", start);
	walk->table = get64(header);
	if (index >= get32(header + 8))
		return image_damaged(image, "there is no attribute set %" PRIu32, index);
	error = image_table_entry(image, start + TABLE_HEADER, index, sizeof set, set);
	if (error != 0)
		return error;
	walk->left = get32(set + 8);
	return seek(&walk->cursor, image, walk->table, get64(set));
}

/* Reads a name with its prefix; leaves the walk before the value. `elsewhere`: the value is kept in another place. */
static int read_name(struct walk *walk, char name[NAME_BYTES + 1], bool *elsewhere)
{
	static const char *const prefixes[] = {
		[SQFS_XATTR_USER] = "user.",
		[SQFS_XATTR_TRUSTED] = "trusted.",
		[SQFS_XATTR_SECURITY] = "security.",
	};
	struct image *image = walk->cursor.image;
	uint8_t header[NAME_HEADER];
	uint16_t type;
	size_t prefix;
	size_t size;
	int error = cursor_read(&walk->cursor, header, sizeof header);

	if (error != 0)
		return error;
	type = get16(header);
	size = get16(header + 2);
	*elsewhere = (type & SQFS_XATTR_FLAG_OOL) != 0;
	type &= SQFS_XATTR_PREFIX_MASK;
	if (type >= sizeof prefixes / sizeof prefixes[0])
		return image_damaged(image, "an attribute of unknown type %d", type);
	prefix = strlen(prefixes[type]);
	if (size == 0 || prefix + size > NAME_BYTES)
		return image_damaged(image, "an attribute name of %zu bytes", size);
	memcpy(name, prefixes[type], prefix);
	error = cursor_read(&walk->cursor, name + prefix, size);
	name[prefix + size] = '\0';
	return error;
}

static int value_size(struct cursor *cursor, uint32_t *size)
{
	uint8_t header[VALUE_HEADER];
	int error = cursor_read(cursor, header, sizeof header);

	if (error == 0)
		*size = get32(header);
	return error;
}

static int skip_value(struct walk *walk)
{
	uint32_t size;
	int error = value_size(&walk->cursor, &size);

	return error != 0 ? error : cursor_skip(&walk->cursor, size);
}

static int read_value(struct walk *walk, bool elsewhere, char value[XATTR_BYTES])
{
	struct cursor *cursor = &walk->cursor;
	struct image *image = cursor->image;
	uint32_t size;
	int error = value_size(cursor, &size);

	if (error == 0 && elsewhere) {
		uint8_t reference[8];

		error = cursor_read(cursor, reference, sizeof reference);
		if (error == 0)
			error = seek(cursor, image, walk->table, get64(reference));
		if (error == 0)
			error = value_size(cursor, &size);
	}
	if (error != 0)
		return error;
	if (size > XATTR_BYTES)
		return image_damaged(image, "an attribute of %" PRIu32 " bytes", size);
	error = cursor_read(cursor, value, size);
	return error != 0 ? error : (int)size;
}

int xattr_get(struct image *image, uint32_t index, const char *name, char value[XATTR_BYTES])
{
	WALK walk = { .table = 0 };
	char found[NAME_BYTES + 1];
	bool elsewhere;
	int error;

	if (index == NO_INDEX)
		return -ENODATA;
	error = begin(&walk, image, index);
	for (; error == 0 && walk.left > 0; walk.left--) {
		error = read_name(&walk, found, &elsewhere);
		if (error == 0 && strcmp(found, name) == 0)
			return read_value(&walk, elsewhere, value);
		if (error == 0)
			error = skip_value(&walk);
	}
	return error != 0 ? error : -ENODATA;
}

int xattr_list(struct image *image, uint32_t index, char names[XATTR_BYTES])
{
	WALK walk = { .table = 0 };
	char name[NAME_BYTES + 1];
	size_t used = 0;
	bool elsewhere;
	int error;

	if (index == NO_INDEX)
		return 0;
	error = begin(&walk, image, index);
	for (; error == 0 && walk.left > 0; walk.left--) {
		size_t size;

		error = read_name(&walk, name, &elsewhere);
		if (error != 0)
			break;
		size = strlen(name) + 1;
		if (used + size > XATTR_BYTES)
			return -E2BIG;
		if (strncmp(name, "trusted.", strlen("trusted.")) != 0) {
			memcpy(names + used, name, size);
			used += size;
		}
		error = skip_value(&walk);
	}
	return error != 0 ? error : (int)used;
}
