/* Reads and writes records of owners and devices. */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "record.h"

/* What squashfs keeps of a device number, and the last id that a file can have. */
enum { MAJOR_LAST = 0xfff, MINOR_LAST = 0xfffff };
#define ID_LAST 0xfffffffeu

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

bool sing_record_parse(const char *text, size_t size, struct sing_record *out)
{
	struct text rest = { text, text + size };

	*out = (struct sing_record){ .ownerless = size > 0 && (*text == 'c' || *text == 'b') };
	if (out->ownerless)
		return read_device(&rest, out) && rest.at == rest.end;
	if (!read_number(&rest, ID_LAST, &out->uid) || !is_next(&rest, ':') || !read_number(&rest, ID_LAST, &out->gid))
		return false;
	if (is_next(&rest, ':') && !read_device(&rest, out))
		return false;
	return rest.at == rest.end;
}

int sing_record_write(const struct sing_record *record, char text[SING_RECORD_ROOM])
{
	if (record->type == 0)
		return snprintf(text, SING_RECORD_ROOM, "%u:%u", record->uid, record->gid);
	if (record->ownerless)
		return snprintf(text, SING_RECORD_ROOM, "%c:%u:%u", record->type == S_IFCHR ? 'c' : 'b', record->major,
				record->minor);
	return snprintf(text, SING_RECORD_ROOM, "%u:%u:%c:%u:%u", record->uid, record->gid,
			record->type == S_IFCHR ? 'c' : 'b', record->major, record->minor);
}

/* "sing", where capabilities would be inheritable. */
#define MARK 0x676e6973U

static bool takes_other(mode_t mode)
{
	return S_ISLNK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

/* All architectures that we are built for are little-endian, as the attribute is. */
bool sing_record_parse_other(const void *value, size_t size, struct sing_record *out)
{
	struct vfs_cap_data data;

	if (size < sizeof data || size > sizeof(struct vfs_ns_cap_data))
		return false;
	memcpy(&data, value, sizeof data);
	*out = (struct sing_record){ .uid = data.data[0].permitted, .gid = data.data[1].permitted };
	return data.data[0].inheritable == MARK && data.data[1].inheritable == MARK && out->uid <= ID_LAST &&
	       out->gid <= ID_LAST;
}

void sing_record_write_other(const struct sing_record *record, unsigned char value[SING_RECORD_OTHER_SIZE])
{
	const struct vfs_cap_data data = {
		.magic_etc = VFS_CAP_REVISION_2,
		.data = { { record->uid, MARK }, { record->gid, MARK } },
	};

	_Static_assert(sizeof data == SING_RECORD_OTHER_SIZE, "revision 2 of file capabilities");
	memcpy(value, &data, sizeof data);
}

bool sing_record_is(mode_t mode, const char *name, const void *value, size_t size)
{
	struct sing_record record;

	if (takes_other(mode) && strcmp(name, SING_RECORD_OTHER) == 0)
		return sing_record_parse_other(value, size, &record);
	return strcmp(name, SING_RECORD) == 0;
}

bool sing_record_read(mode_t mode, const void *value, size_t size, struct sing_record *out)
{
	if (takes_other(mode))
		return sing_record_parse_other(value, size, out);
	return sing_record_parse(value, size, out) && (out->type == 0 || S_ISREG(mode));
}
