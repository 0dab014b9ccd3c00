/* Reads a directory of the host by way of a scan, which is some way ahead. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sources.h"
#include "squashfs/scan.h"
#include "squashfs/tree.h"

enum { BUFFER_SIZE = 256 * 1024 };

/* A file with several names, by its identity on the host. */
struct linked {
	dev_t device;
	ino_t number;
	char path[];
};

struct reading {
	struct sing_members *members;
	void *linked;                           /* tree of struct linked */
	size_t above[SING_DEPTH_LIMIT + 1];     /* lengths of the paths of the directories that we are in */
	size_t depth;
	size_t skipping;                        /* directories that we are in and whose contents are left out */
	char buffer[BUFFER_SIZE];
};

static int fail(struct reading *reading, int reason, const char *action)
{
	return sing_members_fail(reading->members, reason, action);
}

static int by_identity(const void *left, const void *right)
{
	const struct linked *a = left;
	const struct linked *b = right;

	if (a->device != b->device)
		return a->device < b->device ? -1 : 1;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return 0;
}

/* The path under which the file was met before, or NULL after noting it. */
static int recognise(struct reading *reading, const struct stat *status, const char **earlier)
{
	size_t length = strlen(reading->members->path);
	struct linked *linked;
	struct linked **found;

	*earlier = NULL;
	if (status->st_nlink < 2)
		return 0;
	linked = malloc(sizeof *linked + length + 1);
	if (linked == NULL)
		return ENOMEM;
	linked->device = status->st_dev;
	linked->number = status->st_ino;
	memcpy(linked->path, reading->members->path, length + 1);
	found = tsearch(linked, &reading->linked, by_identity);
	if (found != NULL && *found != linked)
		*earlier = (*found)->path;
	if (found == NULL || *found != linked)
		free(linked);
	return found == NULL ? ENOMEM : 0;
}

static struct sing_attributes attributes_of(const struct sing_item *item)
{
	const struct stat *status = &item->status;

	return (struct sing_attributes){
		.mode = status->st_mode,
		.uid = status->st_uid,
		.gid = status->st_gid,
		.mtime = status->st_mtime,
		.major = major(status->st_rdev),
		.minor = minor(status->st_rdev),
		.target = item->target,
		.xattrs = item->xattrs.items,
		.xattr_count = item->xattrs.count,
	};
}

/* A file that has grown since it was opened is packed as it was then. */
static int read_data(struct reading *reading, int fd, off_t size)
{
	for (off_t at = 0; at < size;) {
		size_t wanted = size - at < BUFFER_SIZE ? (size_t)(size - at) : BUFFER_SIZE;
		ssize_t got = pread(fd, reading->buffer, wanted, at);
		int error;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return fail(reading, got < 0 ? errno : SING_CHANGED, "read");
		error = sing_tar_data(&reading->members->tar, reading->buffer, (uint64_t)got);
		if (error != 0)
			return fail(reading, error, "read");
		at += got;
	}
	return 0;
}

static int add_file(struct reading *reading, const struct sing_item *item)
{
	const struct sing_attributes attributes = attributes_of(item);
	const char *earlier;
	bool skipped;

	if (recognise(reading, &item->status, &earlier) != 0)
		return fail(reading, ENOMEM, "read");
	if (sing_members_add(reading->members, &attributes, (uint64_t)item->status.st_size, earlier, &skipped) != 0)
		return -1;
	if (skipped || earlier != NULL || item->kind != SING_ITEM_FILE)
		return 0;
	return read_data(reading, item->fd, item->status.st_size);
}

static int add_directory(struct reading *reading, const struct sing_item *item)
{
	const struct sing_attributes attributes = attributes_of(item);
	bool skipped;

	if (sing_members_add(reading->members, &attributes, 0, NULL, &skipped) != 0)
		return -1;
	if (skipped)
		reading->skipping = 1;
	return 0;
}

/* What is inside a directory that is left out only moves the depth. */
static void pass_over(struct reading *reading, const struct sing_item *item)
{
	if (item->kind == SING_ITEM_DIRECTORY)
		reading->skipping++;
	if (item->kind == SING_ITEM_UP && --reading->skipping == 0)
		sing_members_leave(reading->members, reading->above[--reading->depth]);
}

/* Not an error of anybody: the root is complete. */
enum { COMPLETE = 1 };

static int leave(struct reading *reading)
{
	sing_members_leave(reading->members, reading->above[--reading->depth]);
	return reading->depth == 0 ? COMPLETE : 0;
}

static int take(void *user, struct sing_item *item)
{
	struct reading *reading = user;
	size_t before = 0;
	int result;

	if (item->kind == SING_ITEM_FAILURE) {
		*reading->members->failure = *item->failure;
		return -1;
	}
	if (reading->skipping > 0) {
		pass_over(reading, item);
		return reading->depth == 0 ? COMPLETE : 0;
	}
	if (item->kind == SING_ITEM_UP)
		return leave(reading);
	if (reading->depth > 0 && sing_members_enter(reading->members, item->name, &before) != 0)
		return -1;
	if (item->kind == SING_ITEM_DIRECTORY) {
		reading->above[reading->depth++] = before;
		return add_directory(reading, item);
	}
	result = add_file(reading, item);
	sing_members_leave(reading->members, before);
	return result;
}

int sing_export_directory(const char *root, struct sing_members *members)
{
	const struct sing_scan_options options = { .root = root };
	struct reading *reading = calloc(1, sizeof *reading);
	struct sing_scan *scan;
	int error = reading == NULL ? ENOMEM : sing_scan_start(&options, &scan);
	int result;

	if (error != 0) {
		free(reading);
		return sing_fail(members->failure, error, "read", root);
	}
	reading->members = members;
	result = sing_scan_each(scan, take, reading);
	/* it ended without coming back up to the root, nor could it say why */
	if (result == 0)
		fail(reading, ENOMEM, "read");
	sing_scan_end(scan);
	tdestroy(reading->linked, free);
	free(reading);
	return result == COMPLETE ? 0 : -1;
}
