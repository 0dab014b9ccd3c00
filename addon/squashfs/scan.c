/*
 * The scanning thread. It goes by descriptors and opens nothing by a path of more than one component, so that links planted
 * while it runs lead nowhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "names.h"
#include "queue.h"
#include "scan.h"
#include "tree.h"

/* How far ahead: batches in the queue, and in each of them. The kernel reads on by itself once a file is being read. */
enum { BATCH_ITEMS = 32, BATCH_BYTES = 4 << 20, AHEAD_BYTES = 2 << 20 };

enum { TARGET_SIZE = 64 * 1024 };

struct batch {
	struct sing_item *items[BATCH_ITEMS];
	size_t count;
	size_t taken;
	uint64_t bytes;
};

struct sing_scan {
	struct sing_queue queue; /* of batches */
	struct batch *taking;    /* the other thread's */
	pthread_t thread;
	const char *root;
	const char *upper; /* the directory of changes, or NULL */

	/* below, what only the scanning thread uses */
	struct batch *putting;
	const char *const *excludes;
	size_t exclude_count;
	struct sing_xattr_list xattrs;
	char *path; /* of what is looked at, for excludes and messages */
	size_t path_length;
	size_t path_room;
	size_t root_length;
	unsigned depth;
	char target[TARGET_SIZE];
};

void sing_item_free(struct sing_item *item)
{
	if (item->fd >= 0)
		close(item->fd);
	sing_xattrs_free(&item->xattrs);
	free(item->target);
	free(item->failure);
	free(item);
}

static void free_batch(struct batch *batch)
{
	for (size_t i = batch->taken; i < batch->count; i++)
		sing_item_free(batch->items[i]);
	free(batch);
}

/* Hand the batch over. -1 when nobody wants it any more: the scan ends without a word. */
static int flush(struct sing_scan *scan)
{
	struct batch *batch = scan->putting;

	scan->putting = NULL;
	if (batch == NULL || sing_queue_put(&scan->queue, batch))
		return 0;
	free_batch(batch);
	return -1;
}

static struct sing_item *create_item(enum sing_item_kind kind, const char *name)
{
	struct sing_item *item = calloc(1, sizeof *item + strlen(name) + 1);

	if (item == NULL)
		return NULL;
	item->kind = kind;
	item->fd = -1;
	strcpy(item->name, name);
	return item;
}

/* Takes the item over. -1 when the scan is to end. */
static int put(struct sing_scan *scan, struct sing_item *item)
{
	if (scan->putting == NULL)
		scan->putting = calloc(1, sizeof *scan->putting);
	if (scan->putting == NULL) {
		sing_item_free(item);
		return -1;
	}
	scan->putting->items[scan->putting->count++] = item;
	if (item->kind == SING_ITEM_FILE)
		scan->putting->bytes += item->status.st_size < AHEAD_BYTES ? (uint64_t)item->status.st_size : AHEAD_BYTES;
	return scan->putting->count == BATCH_ITEMS || scan->putting->bytes > BATCH_BYTES ? flush(scan) : 0;
}

/* The other thread sees a queue that ends without an item of this kind as a lack of memory. */
static int fail(struct sing_scan *scan, int reason, const char *action)
{
	struct sing_item *item = create_item(SING_ITEM_FAILURE, "");

	if (item == NULL)
		return -1;
	item->failure = calloc(1, sizeof *item->failure);
	if (item->failure == NULL) {
		sing_item_free(item);
		return -1;
	}
	sing_fail(item->failure, reason, action, scan->path);
	(void)put(scan, item);
	return -1;
}

static int enter(struct sing_scan *scan, const char *name)
{
	size_t length = strlen(name);
	size_t needed = scan->path_length + length + 2;

	if (needed > scan->path_room) {
		char *path = realloc(scan->path, needed * 2);

		if (path == NULL)
			return fail(scan, ENOMEM, "read");
		scan->path = path;
		scan->path_room = needed * 2;
	}
	scan->path[scan->path_length++] = '/';
	memcpy(scan->path + scan->path_length, name, length + 1);
	scan->path_length += length;
	return 0;
}

static void leave(struct sing_scan *scan, size_t length)
{
	scan->path_length = length;
	scan->path[length] = '\0';
}

static bool excluded(const struct sing_scan *scan)
{
	const char *relative = scan->path + scan->root_length + 1;

	if (scan->exclude_count == 0)
		return false;
	return bsearch(&relative, scan->excludes, scan->exclude_count, sizeof *scan->excludes, sing_names_compare) != NULL;
}

/* An item with all that is to be said of an entry: of the open `fd`, or of the one named `in` there. NULL after a failure. */
static struct sing_item *describe(struct sing_scan *scan, enum sing_item_kind kind, const char *name,
				  const struct stat *status, int fd, const char *in)
{
	struct sing_item *item = create_item(kind, name);
	int error = item == NULL ? ENOMEM : sing_xattrs_read(&scan->xattrs, fd, in);

	if (error != 0) {
		fail(scan, error, "read the attributes of");
		if (item != NULL)
			sing_item_free(item);
		return NULL;
	}
	item->status = *status;
	if (scan->xattrs.count > 0) {
		item->xattrs = scan->xattrs;
		scan->xattrs = (struct sing_xattr_list){ 0 };
	}
	return item;
}

/* Takes the descriptor over. */
static int scan_open_file(struct sing_scan *scan, int fd, const char *name)
{
	struct sing_item *item = NULL;
	struct stat status;

	if (fstat(fd, &status) != 0)
		fail(scan, errno, "read");
	else if (!S_ISREG(status.st_mode))
		fail(scan, SING_CHANGED, "read");
	else
		item = describe(scan, SING_ITEM_FILE, name, &status, fd, NULL);
	if (item == NULL) {
		close(fd);
		return -1;
	}
	item->fd = fd;
	posix_fadvise(fd, 0, AHEAD_BYTES, POSIX_FADV_WILLNEED);
	return put(scan, item);
}

/* Where the changes of a directory are, if any are: -1 when everything in it is as it was. */
static int open_changes(int changes, const char *name)
{
	if (changes < 0)
		return -1;
	return openat(changes, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_kept(const struct sing_scan *scan, int changes, const char *name)
{
	struct stat status;

	if (scan->upper == NULL)
		return false;
	return changes < 0 || (fstatat(changes, name, &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT);
}

/* O_NONBLOCK: should a pipe have taken the file's place, opening it must not wait for a writer. */
static int scan_file(struct sing_scan *scan, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? fail(scan, errno, "open") : scan_open_file(scan, fd, name);
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

static int scan_other(struct sing_scan *scan, int parent, const char *name, const struct stat *status)
{
	struct sing_item *item = describe(scan, SING_ITEM_OTHER, name, status, parent, name);
	int error;

	if (item == NULL)
		return -1;
	error = S_ISLNK(status->st_mode) ? read_target(scan, parent, item) : 0;
	if (error != 0) {
		sing_item_free(item);
		return fail(scan, error, "read");
	}
	return put(scan, item);
}

static int scan_kept(struct sing_scan *scan, int parent, const char *name, const struct stat *status)
{
	struct sing_item *item = describe(scan, SING_ITEM_KEPT, name, status, parent, name);

	return item == NULL ? -1 : put(scan, item);
}

static int scan_below(struct sing_scan *scan, int fd, int changes);

static int scan_open_directory(struct sing_scan *scan, int fd, int changes, const char *name)
{
	struct sing_item *item;
	struct stat status;

	if (fstat(fd, &status) != 0)
		return fail(scan, errno, "read");
	item = describe(scan, SING_ITEM_DIRECTORY, name, &status, fd, NULL);
	if (item == NULL || put(scan, item) != 0 || scan_below(scan, fd, changes) != 0)
		return -1;
	item = create_item(SING_ITEM_UP, "");
	return item == NULL ? fail(scan, ENOMEM, "read") : put(scan, item);
}

static int scan_directory(struct sing_scan *scan, int parent, int changes, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int below, result;

	if (fd < 0)
		return fail(scan, errno, "open");
	below = open_changes(changes, name);
	result = scan_open_directory(scan, fd, below, name);
	if (below >= 0)
		close(below);
	close(fd);
	return result;
}

/* Regular files are opened at once and looked at then, which saves a call for each; those that are kept not at all. */
static int scan_entry(struct sing_scan *scan, int parent, int changes, const char *name, unsigned char type)
{
	bool kept = (type == DT_REG || type == DT_UNKNOWN) && is_kept(scan, changes, name);
	struct stat status;

	if (type == DT_REG && !kept)
		return scan_file(scan, parent, name);
	if (type == DT_DIR)
		return scan_directory(scan, parent, changes, name);
	if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
		return fail(scan, errno, "read");
	if (S_ISREG(status.st_mode))
		return kept ? scan_kept(scan, parent, name, &status) : scan_file(scan, parent, name);
	if (S_ISDIR(status.st_mode))
		return scan_directory(scan, parent, changes, name);
	return scan_other(scan, parent, name, &status);
}

static int scan_names(struct sing_scan *scan, int fd, int changes, const struct sing_names *names)
{
	size_t length = scan->path_length;

	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->list[i];

		if (enter(scan, name) != 0)
			return -1;
		if (!excluded(scan) && scan_entry(scan, fd, changes, name, sing_names_type(name)) != 0)
			return -1;
		leave(scan, length);
	}
	return 0;
}

static int scan_below(struct sing_scan *scan, int fd, int changes)
{
	struct sing_names names;
	int error;
	int result;

	if (++scan->depth > SING_DEPTH_LIMIT)
		return fail(scan, SING_NESTED, "read");
	error = sing_names_read(fd, &names);
	result = error != 0 ? fail(scan, error, "list") : scan_names(scan, fd, changes, &names);
	sing_names_free(&names);
	scan->depth--;
	return result;
}

static void scan_root(struct sing_scan *scan)
{
	int fd = open(scan->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int changes = scan->upper == NULL ? -1 : open(scan->upper, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (scan->upper != NULL && changes < 0))
		fail(scan, errno, "open");
	else
		(void)scan_open_directory(scan, fd, changes, "");
	if (changes >= 0)
		close(changes);
	if (fd >= 0)
		close(fd);
}

static void *work(void *user)
{
	struct sing_scan *scan = user;

	scan_root(scan);
	(void)flush(scan);
	sing_queue_close(&scan->queue);
	return NULL;
}

int sing_scan_start(const char *root, const char *changes, const char *const *excludes, size_t exclude_count,
		    struct sing_scan **out)
{
	struct sing_scan *scan = calloc(1, sizeof *scan);
	size_t length = strlen(root);
	int error = ENOMEM;

	if (scan == NULL)
		return ENOMEM;
	while (length > 0 && root[length - 1] == '/')
		length--;
	sing_queue_open(&scan->queue);
	scan->root = root;
	scan->upper = changes;
	scan->excludes = excludes;
	scan->exclude_count = exclude_count;
	scan->path = strndup(root, length);
	scan->path_length = scan->root_length = length;
	scan->path_room = length + 1;
	if (scan->path != NULL)
		error = sing_thread_start(&scan->thread, work, scan);
	if (error == 0) {
		*out = scan;
		return 0;
	}
	sing_queue_free(&scan->queue);
	free(scan->path);
	free(scan);
	return error;
}

struct sing_item *sing_scan_next(struct sing_scan *scan)
{
	struct batch *batch = scan->taking;

	if (batch != NULL && batch->taken == batch->count) {
		free_batch(batch);
		batch = NULL;
	}
	if (batch == NULL)
		batch = sing_queue_take(&scan->queue);
	scan->taking = batch;
	return batch == NULL ? NULL : batch->items[batch->taken++];
}

void sing_scan_end(struct sing_scan *scan)
{
	struct batch *batch;

	sing_queue_close(&scan->queue);
	pthread_join(scan->thread, NULL);
	if (scan->taking != NULL)
		free_batch(scan->taking);
	while ((batch = sing_queue_take(&scan->queue)) != NULL)
		free_batch(batch);
	sing_queue_free(&scan->queue);
	sing_xattrs_free(&scan->xattrs);
	free(scan->path);
	free(scan);
}
