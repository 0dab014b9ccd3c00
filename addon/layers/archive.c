/*
 * libarchive reads the headers. It converts names from the character set that a header claims to that of the locale, and
 * leaves them alone where it cannot: in the locale "C", which every system has, that is every byte that is not ASCII.
 */
#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>
#include <sqfs/xattr.h>

#include "squashfs/failure.h"
#include "archive.h"

enum { LARGEST_MAJOR = 0xfff, LARGEST_MINOR = 0xfffff, BLOCK = 512 };

/* Stands for the end of the last block, which umoci leaves out and other readers do not miss. */
static const uint8_t padding[BLOCK];

struct sing_archive {
	struct sing_feed *feed;
	struct archive *archive;
	int reason;     /* why the feed ended */
	bool at_end;    /* of the feed */
	bool padded;
	uint64_t begun; /* chunks that the feed gave */
	locale_t locale;
	locale_t before;
	struct sing_xattr *xattrs;
	size_t xattr_room;
	uint64_t left_out;
};

static la_ssize_t pad(struct sing_archive *reader, const void **data)
{
	uint64_t size = sing_feed_size(reader->feed) % BLOCK;

	if (size == 0 || reader->padded)
		return 0;
	reader->padded = true;
	*data = padding;
	return (la_ssize_t)(BLOCK - size);
}

static la_ssize_t read_feed(struct archive *archive, void *user, const void **data)
{
	struct sing_archive *reader = user;
	ssize_t size = sing_feed_next(reader->feed, data, &reader->reason);

	(void)archive;
	reader->at_end = size <= 0;
	reader->begun += size > 0;
	return size == 0 ? pad(reader, data) : size;
}

static bool set_up(struct sing_archive *reader)
{
	struct archive *archive = reader->archive = archive_read_new();

	reader->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (archive == NULL || reader->locale == (locale_t)0)
		return false;
	reader->before = uselocale(reader->locale);
	return archive_read_support_format_tar(archive) == ARCHIVE_OK &&
	       archive_read_set_read_callback(archive, read_feed) == ARCHIVE_OK &&
	       archive_read_set_callback_data(archive, reader) == ARCHIVE_OK;
}

struct sing_archive *sing_archive_open(struct sing_feed *feed)
{
	struct sing_archive *reader = calloc(1, sizeof *reader);

	if (reader == NULL)
		return NULL;
	reader->feed = feed;
	if (!set_up(reader)) {
		sing_archive_close(reader);
		return NULL;
	}
	return reader;
}

static int fail(const struct sing_archive *reader, int *reason)
{
	if (reader->reason != 0)
		*reason = reader->reason;
	else if (archive_errno(reader->archive) == ENOMEM)
		*reason = ENOMEM;
	else
		*reason = reader->at_end ? SING_TRUNCATED : SING_TAR_DAMAGED;
	return -1;
}

/* Nothing at all is an archive without members. */
static int open_archive(struct sing_archive *reader, int *reason)
{
	if (archive_read_open1(reader->archive) == ARCHIVE_OK)
		return 1;
	if (reader->reason != 0 || archive_errno(reader->archive) == ENOMEM)
		return fail(reader, reason);
	if (reader->begun == 0)
		return 0;
	*reason = SING_NOT_TAR;
	return -1;
}

/* What is only warned of: names that are no text, which is as good, and access control lists, which squashfs cannot hold. */
static bool is_harmless(const struct sing_archive *reader)
{
	const char *text = archive_error_string(reader->archive);

	return text != NULL && (strstr(text, "can't be converted") != NULL || strstr(text, "SCHILY.acl") != NULL);
}

static int by_name(const void *left, const void *right)
{
	return strcmp(((const struct sing_xattr *)left)->name, ((const struct sing_xattr *)right)->name);
}

static int make_room(struct sing_archive *reader, size_t count)
{
	struct sing_xattr *xattrs;

	if (count <= reader->xattr_room)
		return 0;
	xattrs = reallocarray(reader->xattrs, count, sizeof *xattrs);
	if (xattrs == NULL)
		return ENOMEM;
	reader->xattrs = xattrs;
	reader->xattr_room = count;
	return 0;
}

/* Of two with the same name the later one counts; libarchive gives it first. */
static size_t without_doubles(struct sing_xattr *xattrs, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (kept == 0 || strcmp(xattrs[kept - 1].name, xattrs[i].name) != 0)
			xattrs[kept++] = xattrs[i];
	return kept;
}

static bool has_place(struct sing_archive *reader, const struct sing_xattr *xattr)
{
	bool fits = xattr->size <= XATTR_SIZE_MAX && strlen(xattr->name) <= XATTR_NAME_MAX;

	if (fits && sqfs_get_xattr_prefix_id(xattr->name) >= 0)
		return true;
	reader->left_out++;
	return false;
}

static int read_xattrs(struct sing_archive *reader, struct archive_entry *entry, struct sing_attributes *attributes)
{
	size_t count = (size_t)archive_entry_xattr_reset(entry);
	struct sing_xattr xattr;

	attributes->xattr_count = 0;
	if (count == 0)
		return 0;
	if (make_room(reader, count) != 0)
		return ENOMEM;
	count = 0;
	while (archive_entry_xattr_next(entry, &xattr.name, &xattr.value, &xattr.size) == ARCHIVE_OK)
		if (xattr.name != NULL && has_place(reader, &xattr))
			reader->xattrs[count++] = xattr;
	if (count > 0)
		qsort(reader->xattrs, count, sizeof *reader->xattrs, by_name);
	attributes->xattrs = reader->xattrs;
	attributes->xattr_count = without_doubles(reader->xattrs, count);
	return 0;
}

static int read_numbers(struct archive_entry *entry, struct sing_attributes *attributes)
{
	int64_t uid = archive_entry_uid(entry);
	int64_t gid = archive_entry_gid(entry);

	if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
		return SING_RANGE;
	attributes->uid = (uint32_t)uid;
	attributes->gid = (uint32_t)gid;
	attributes->mtime = archive_entry_mtime(entry);
	if (!S_ISCHR(attributes->mode) && !S_ISBLK(attributes->mode))
		return 0;
	attributes->major = (uint32_t)archive_entry_rdevmajor(entry);
	attributes->minor = (uint32_t)archive_entry_rdevminor(entry);
	return attributes->major > LARGEST_MAJOR || attributes->minor > LARGEST_MINOR ? SING_RANGE : 0;
}

static int read_member(struct sing_archive *reader, struct archive_entry *entry, struct sing_member *member)
{
	struct sing_attributes *attributes = &member->attributes;
	mode_t type = archive_entry_filetype(entry);
	int error;

	*member = (struct sing_member){ .path = archive_entry_pathname(entry), .link = archive_entry_hardlink(entry) };
	if (member->path == NULL)
		return SING_TAR_DAMAGED;
	attributes->mode = (type == 0 ? S_IFREG : type) | archive_entry_perm(entry);
	if (S_ISREG(attributes->mode))
		member->size = (uint64_t)archive_entry_size(entry);
	if (S_ISLNK(attributes->mode)) {
		attributes->target = archive_entry_symlink(entry);
		if (attributes->target == NULL)
			return SING_TAR_DAMAGED;
		if (strlen(attributes->target) >= PATH_MAX)
			return ENAMETOOLONG;
	}
	error = read_numbers(entry, attributes);
	return error != 0 ? error : read_xattrs(reader, entry, attributes);
}

int sing_archive_next(struct sing_archive *reader, struct sing_member *member, int *reason)
{
	struct archive_entry *entry;
	int result;

	member->path = NULL;
	if (reader->begun == 0 && !reader->at_end) {
		int opened = open_archive(reader, reason);

		if (opened <= 0)
			return opened;
	}
	result = archive_read_next_header(reader->archive, &entry);
	if (result == ARCHIVE_EOF && reader->reason == 0)
		return 0;
	if (result == ARCHIVE_FATAL || result == ARCHIVE_EOF || result == ARCHIVE_RETRY)
		return fail(reader, reason);
	if (result == ARCHIVE_WARN && !is_harmless(reader)) {
		*reason = SING_TAR_DAMAGED;
		return -1;
	}
	*reason = read_member(reader, entry, member);
	return *reason == 0 ? 1 : -1;
}

int sing_archive_data(struct sing_archive *reader, const void **data, size_t *size, uint64_t *offset, int *reason)
{
	la_int64_t at;
	int result = archive_read_data_block(reader->archive, data, size, &at);

	if (result == ARCHIVE_EOF)
		return 0;
	if (result != ARCHIVE_OK || at < 0)
		return fail(reader, reason);
	if (*data == padding) {
		*reason = SING_TRUNCATED;
		return -1;
	}
	*offset = (uint64_t)at;
	return 1;
}

uint64_t sing_archive_left_out(const struct sing_archive *reader)
{
	return reader->left_out;
}

void sing_archive_close(struct sing_archive *reader)
{
	if (reader->before != (locale_t)0)
		uselocale(reader->before);
	if (reader->archive != NULL)
		archive_read_free(reader->archive);
	if (reader->locale != (locale_t)0)
		freelocale(reader->locale);
	free(reader->xattrs);
	free(reader);
}
