/* Reads and writes records of owners and devices. */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "record.h"

/* What squashfs keeps of a device number, and the last id that a file can have. */
enum { MAJOR_LAST = 0xfff, MINOR_LAST = 0xfffff };
#define ID_LAST 0xfffffffeu

/* "sing": tells an owner from capabilities. */
#define OWNER_MARK 0x676e6973u

struct text {
	const char *at;
	const char *end;
};

static bool is_next(struct text *text, char wanted)
{
	if (text->at == text->end || *text->at != wanted)
		return false;
	text->at++;
	return true;
}

/* The one way to write it: no signs, spaces or zeros in front. */
static bool read_number(struct text *text, uint32_t last, uint32_t *out)
{
	const char *start = text->at;
	uint64_t value = 0;

	while (text->at < text->end && *text->at >= '0' && *text->at <= '9') {
		value = value * 10 + (uint64_t)(*text->at++ - '0');
		if (value > last)
			return false;
	}
	*out = (uint32_t)value;
	return text->at > start && (*start != '0' || text->at == start + 1);
}

static bool read_device(struct text *text, struct sing_record *out)
{
	if (is_next(text, 'c'))
		out->type = S_IFCHR;
	else if (is_next(text, 'b'))
		out->type = S_IFBLK;
	else
		return false;
	return is_next(text, ':') && read_number(text, MAJOR_LAST, &out->major) && is_next(text, ':') &&
	       read_number(text, MINOR_LAST, &out->minor) && (out->type != S_IFCHR || out->major > 0 || out->minor > 0);
}

static bool parse_text(const char *text, size_t size, struct sing_record *out)
{
	struct text rest = { text, text + size };

	out->ownerless = size > 0 && (*text == 'c' || *text == 'b');
	if (out->ownerless)
		return read_device(&rest, out) && rest.at == rest.end;
	if (!read_number(&rest, ID_LAST, &out->uid) || !is_next(&rest, ':') || !read_number(&rest, ID_LAST, &out->gid))
		return false;
	if (is_next(&rest, ':') && !read_device(&rest, out))
		return false;
	return rest.at == rest.end;
}

static bool parse_capabilities(const void *value, size_t size, struct sing_record *out)
{
	struct vfs_cap_data data;

	if (size < sizeof data || size > sizeof(struct vfs_ns_cap_data))
		return false;
	memcpy(&data, value, sizeof data);
	if (le32toh(data.data[0].inheritable) != OWNER_MARK || le32toh(data.data[1].inheritable) != OWNER_MARK)
		return false;
	out->uid = le32toh(data.data[0].permitted);
	out->gid = le32toh(data.data[1].permitted);
	return out->uid <= ID_LAST && out->gid <= ID_LAST;
}

const char *sing_record_name(mode_t mode)
{
	if (S_ISREG(mode) || S_ISDIR(mode))
		return SING_RECORD;
	return S_ISLNK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode) ? SING_CAPABILITY : NULL;
}

bool sing_record_parse(mode_t mode, const char *name, const void *value, size_t size, struct sing_record *out)
{
	const char *wanted = sing_record_name(mode);

	*out = (struct sing_record){ 0 };
	if (wanted == NULL || strcmp(name, wanted) != 0)
		return false;
	return strcmp(name, SING_RECORD) == 0 ? parse_text(value, size, out) : parse_capabilities(value, size, out);
}

static size_t write_text(const struct sing_record *record, char text[SING_RECORD_ROOM])
{
	int length = 0;

	if (!record->ownerless)
		length = snprintf(text, SING_RECORD_ROOM, "%u:%u%s", record->uid, record->gid, record->type == 0 ? "" : ":");
	if (record->type != 0)
		length += snprintf(text + length, SING_RECORD_ROOM - (size_t)length, "%c:%u:%u",
				   record->type == S_IFCHR ? 'c' : 'b', record->major, record->minor);
	return (size_t)length;
}

size_t sing_record_write(mode_t mode, const struct sing_record *record, char value[SING_RECORD_ROOM])
{
	struct vfs_cap_data data = {
		.magic_etc = htole32(VFS_CAP_REVISION_2),
		.data = { { htole32(record->uid), htole32(OWNER_MARK) }, { htole32(record->gid), htole32(OWNER_MARK) } },
	};

	if (S_ISREG(mode) || S_ISDIR(mode))
		return write_text(record, value);
	memcpy(value, &data, sizeof data);
	return sizeof data;
}

size_t sing_plain_capabilities(void *value, size_t size)
{
	struct vfs_cap_data data;
	uint32_t magic;

	if (size != sizeof(struct vfs_ns_cap_data))
		return size;
	memcpy(&data, value, sizeof data);
	magic = le32toh(data.magic_etc);
	if ((magic & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_3)
		return size;
	data.magic_etc = htole32(VFS_CAP_REVISION_2 | (magic & ~VFS_CAP_REVISION_MASK));
	memcpy(value, &data, sizeof data);
	return sizeof data;
}
