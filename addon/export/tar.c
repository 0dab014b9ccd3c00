/* Nothing in an archive depends on anything but the members: the same members give the same bytes. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tar.h"

enum { RECORD = 512 };

struct header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[8];
	char user[32];
	char group[32];
	char major[8];
	char minor[8];
	char prefix[155];
	char unused[12];
};

_Static_assert(sizeof(struct header) == RECORD, "a header is one record");

static const char zeros[64 * 1024];

static int write_zeros(const struct sing_tar *tar, uint64_t size)
{
	int error = 0;

	while (size > 0 && error == 0) {
		size_t count = size < sizeof zeros ? (size_t)size : sizeof zeros;

		error = tar->sink(tar->user, zeros, count);
		size -= count;
	}
	return error;
}

static uint64_t padding_of(uint64_t size)
{
	return (RECORD - size % RECORD) % RECORD;
}

/* The number with its terminator fills the field. False, with zero written, when it is negative or has too many digits. */
static bool put_number(char *field, size_t width, int64_t value)
{
	bool fits = value >= 0 && (uint64_t)value >> (3 * (width - 1)) == 0;
	uint64_t rest = fits ? (uint64_t)value : 0;

	field[width - 1] = '\0';
	for (size_t i = width - 1; i-- > 0; rest >>= 3)
		field[i] = (char)('0' + (rest & 7));
	return fits;
}

/* False, with the beginning written, when the text is too long, or not ASCII: then readers disagree about its meaning. */
static bool put_text(char *field, size_t width, const char *text)
{
	size_t length = strlen(text);
	bool fits = length <= width;

	memcpy(field, text, fits ? length : width);
	for (size_t i = 0; i < length; i++)
		fits = fits && (unsigned char)text[i] < 0x80;
	return fits;
}

static void seal(struct header *header)
{
	const unsigned char *bytes = (const unsigned char *)header;
	int64_t sum = 0;

	memcpy(header->magic, "ustar\00000", sizeof header->magic);
	memset(header->checksum, ' ', sizeof header->checksum);
	for (size_t i = 0; i < sizeof *header; i++)
		sum += bytes[i];
	put_number(header->checksum, sizeof header->checksum - 1, sum);
}

/* The extended header that is being put together. */
struct records {
	struct sing_tar *tar;
	size_t length;
	int error;
};

static size_t digits_of(size_t number)
{
	return number < 10 ? 1 : 1 + digits_of(number / 10);
}

/* "<length of it all> <key><name>=<value>\n": the length counts its own digits. */
static void add_record(struct records *records, const char *key, const char *name, const void *value, size_t size)
{
	struct sing_tar *tar = records->tar;
	size_t rest = strlen(key) + strlen(name) + size + sizeof " =\n" - 1;
	size_t length = rest + digits_of(rest);
	char *at;

	if (digits_of(length) != digits_of(rest))
		length = rest + digits_of(length);
	if (records->length + length + 1 > tar->room) {
		size_t room = 2 * (records->length + length + 1);
		char *grown = realloc(tar->records, room);

		if (grown == NULL) {
			records->error = ENOMEM;
			return;
		}
		tar->records = grown;
		tar->room = room;
	}
	at = tar->records + records->length;
	at += sprintf(at, "%zu %s%s=", length, key, name);
	memcpy(at, value, size);
	at[size] = '\n';
	records->length += length;
}

static void add_text(struct records *records, const char *key, const char *text)
{
	add_record(records, key, "", text, strlen(text));
}

static void add_number(struct records *records, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)value);
	add_text(records, key, text);
}

/* A key ends at the first '=': attributes with one in their name have no place. Nobody makes such. */
static void add_xattrs(struct records *records, const struct sing_attributes *attributes)
{
	for (size_t i = 0; i < attributes->xattr_count; i++) {
		const struct sing_xattr *xattr = &attributes->xattrs[i];

		if (strchr(xattr->name, '=') == NULL)
			add_record(records, "SCHILY.xattr.", xattr->name, xattr->value, xattr->size);
	}
}

static char type_of(const struct sing_member *member)
{
	if (member->link != NULL)
		return '1';
	switch (member->attributes->mode & S_IFMT) {
	case S_IFLNK:
		return '2';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	case S_IFDIR:
		return '5';
	case S_IFIFO:
		return '6';
	default:
		return '0';
	}
}

static const char *target_of(const struct sing_member *member)
{
	if (member->link != NULL)
		return member->link;
	return S_ISLNK(member->attributes->mode) ? member->attributes->target : "";
}

/* Fill the header; what it has no room for becomes a record. */
static void describe(const struct sing_member *member, const char *path, uint64_t size, struct header *header,
		     struct records *records)
{
	const struct sing_attributes *attributes = member->attributes;
	const char *target = target_of(member);

	header->type = type_of(member);
	put_number(header->mode, sizeof header->mode, attributes->mode & 07777);
	put_number(header->major, sizeof header->major, attributes->major);
	put_number(header->minor, sizeof header->minor, attributes->minor);
	if (!put_text(header->name, sizeof header->name, path))
		add_text(records, "path", path);
	if (!put_text(header->link, sizeof header->link, target))
		add_text(records, "linkpath", target);
	if (!put_number(header->uid, sizeof header->uid, attributes->uid))
		add_number(records, "uid", attributes->uid);
	if (!put_number(header->gid, sizeof header->gid, attributes->gid))
		add_number(records, "gid", attributes->gid);
	if (!put_number(header->size, sizeof header->size, (int64_t)size))
		add_number(records, "size", (int64_t)size);
	if (!put_number(header->mtime, sizeof header->mtime, attributes->mtime))
		add_number(records, "mtime", attributes->mtime);
	if (member->link == NULL)
		add_xattrs(records, attributes);
}

/* Readers that know no extended headers see a file of this name. */
static int write_records(struct sing_tar *tar, size_t length)
{
	struct header header = { .name = "PaxHeaders/member", .type = 'x' };
	int error;

	put_number(header.mode, sizeof header.mode, 0644);
	put_number(header.uid, sizeof header.uid, 0);
	put_number(header.gid, sizeof header.gid, 0);
	put_number(header.mtime, sizeof header.mtime, 0);
	put_number(header.size, sizeof header.size, (int64_t)length);
	seal(&header);
	error = tar->sink(tar->user, &header, sizeof header);
	if (error == 0)
		error = tar->sink(tar->user, tar->records, length);
	return error != 0 ? error : write_zeros(tar, padding_of(length));
}

static int finish_member(struct sing_tar *tar)
{
	uint64_t padding = tar->padding;

	if (tar->missing > 0)
		return SING_CHANGED;
	tar->padding = 0;
	return write_zeros(tar, padding);
}

/* Directories end with a slash; the root is "./". Freed by the caller, NULL without memory. */
static char *stored_path(const struct sing_member *member)
{
	bool is_directory = member->link == NULL && S_ISDIR(member->attributes->mode);
	char *path;

	if (asprintf(&path, "%s%s", member->path[0] == '\0' ? "." : member->path, is_directory ? "/" : "") < 0)
		return NULL;
	return path;
}

int sing_tar_member(struct sing_tar *tar, const struct sing_member *member)
{
	bool has_data = member->link == NULL && S_ISREG(member->attributes->mode);
	uint64_t size = has_data ? member->size : 0;
	struct records records = { .tar = tar };
	struct header header = { 0 };
	char *path = stored_path(member);
	int error = path == NULL ? ENOMEM : finish_member(tar);

	if (error == 0) {
		describe(member, path, size, &header, &records);
		error = records.error;
	}
	free(path);
	if (error == 0 && records.length > 0)
		error = write_records(tar, records.length);
	if (error != 0)
		return error;
	seal(&header);
	tar->missing = size;
	tar->padding = padding_of(size);
	return tar->sink(tar->user, &header, sizeof header);
}

int sing_tar_data(struct sing_tar *tar, const void *bytes, uint64_t size)
{
	if (size > tar->missing)
		return SING_CHANGED;
	tar->missing -= size;
	return bytes == NULL ? write_zeros(tar, size) : tar->sink(tar->user, bytes, (size_t)size);
}

int sing_tar_end(struct sing_tar *tar)
{
	int error = finish_member(tar);

	return error != 0 ? error : write_zeros(tar, 2 * RECORD);
}

void sing_tar_free(struct sing_tar *tar)
{
	free(tar->records);
	tar->records = NULL;
}
