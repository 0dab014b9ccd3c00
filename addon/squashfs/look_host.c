/*
 * What a scan finds on the host, name by name. Nothing is opened by a path of more than one component, so that links planted while it runs
 * lead nowhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scan_internal.h"

/* What the kernel reads of a file before anybody asks. */
enum { AHEAD_BYTES = 2 << 20 };

struct sing_item *sing_item_of_host(struct sing_scan *scan, enum sing_item_kind kind, const char *name,
				    const struct stat *status, int fd, const char *in)
{
	struct sing_item *item = sing_item_create(kind, name);
	int error = item == NULL ? ENOMEM : sing_xattrs_read(&scan->xattrs, fd, in);

	if (error != 0) {
		sing_scan_fail(scan, error, "read the attributes of");
		if (item != NULL)
			sing_item_free(item);
		return NULL;
	}
	item->status = *status;
	if (scan->xattrs.count > 0) {
		item->xattrs = scan->xattrs;
		scan->xattrs = (struct sing_xattr_list){ 0 };
		sing_item_take_records(item);
	}
	if (scan->options.marks == SING_MARKS_KEEP && sing_marks_refer(&item->xattrs)) {
		sing_item_free(item);
		sing_scan_fail(scan, SING_REFERS, "read");
		return NULL;
	}
	item->opaque = sing_marks_take(&item->xattrs, scan->options.marks);
	return item;
}

static bool exists(int directory, const char *name)
{
	struct stat status;

	return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

struct sing_item *sing_item_of_directory(struct sing_scan *scan, const char *name, const struct stat *status, int fd)
{
	struct sing_item *item = sing_item_of_host(scan, SING_ITEM_DIRECTORY, name, status, fd, NULL);

	if (item == NULL || !scan->options.named_marks || item->opaque || !exists(fd, SING_WHITEOUT_OPAQUE))
		return item;
	item->opaque = true;
	if (sing_marks_add_opaque(&item->xattrs) == 0)
		return item;
	sing_item_free(item);
	sing_scan_fail(scan, ENOMEM, "read");
	return NULL;
}

int sing_look_at_mark(struct sing_scan *scan, int parent, const char *mark)
{
	const char *name = mark + strlen(SING_WHITEOUT_PREFIX);
	struct sing_item *item;

	if (strncmp(mark, SING_WHITEOUT_OTHER, strlen(SING_WHITEOUT_OTHER)) == 0 || *name == '\0' || exists(parent, name))
		return 0;
	item = sing_item_create(SING_ITEM_OTHER, name);
	if (item == NULL)
		return sing_scan_fail(scan, ENOMEM, "read");
	item->status.st_mode = S_IFCHR;
	item->status.st_nlink = 1;
	return sing_scan_put(scan, item);
}

/* Takes the descriptor over. */
static int look_at_open_file(struct sing_scan *scan, int fd, const char *name)
{
	struct sing_item *item = NULL;
	struct stat status;

	if (fstat(fd, &status) != 0)
		sing_scan_fail(scan, errno, "read");
	else if (!S_ISREG(status.st_mode))
		sing_scan_fail(scan, SING_CHANGED, "read");
	else
		item = sing_item_of_host(scan, SING_ITEM_FILE, name, &status, fd, NULL);
	if (item == NULL || item->kind != SING_ITEM_FILE) {
		close(fd);
		return item == NULL ? -1 : sing_scan_put(scan, item);
	}
	item->fd = fd;
	posix_fadvise(fd, 0, AHEAD_BYTES, POSIX_FADV_WILLNEED);
	return sing_scan_put(scan, item);
}

/* O_NONBLOCK: should a pipe have taken the file's place, opening it must not wait for a writer. */
int sing_look_at_file(struct sing_scan *scan, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? sing_scan_fail(scan, errno, "open") : look_at_open_file(scan, fd, name);
}

static int read_target(struct sing_scan *scan, int parent, struct sing_item *item)
{
	ssize_t length = readlinkat(parent, item->name, scan->target, TARGET_SIZE - 1);

	if (length < 0)
		return errno;
	scan->target[length] = '\0';
	item->target = strdup(scan->target);
	return item->target == NULL ? ENOMEM : 0;
}

int sing_look_at_other(struct sing_scan *scan, int parent, const char *name, const struct stat *status)
{
	struct sing_item *item;
	int error;

	if (scan->options.marks == SING_MARKS_APPLY && sing_is_whiteout(status))
		return 0;
	item = sing_item_of_host(scan, SING_ITEM_OTHER, name, status, parent, name);
	if (item == NULL)
		return -1;
	error = S_ISLNK(status->st_mode) ? read_target(scan, parent, item) : 0;
	if (error != 0) {
		sing_item_free(item);
		return sing_scan_fail(scan, error, "read");
	}
	return sing_scan_put(scan, item);
}
