/*
 * The scanning thread's work. On the host it goes by descriptors and opens nothing by a path of more than one component, so that
 * links planted while it runs lead nowhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "names.h"
#include "scan_internal.h"

/* What the kernel reads of a file before anybody asks. */
enum { AHEAD_BYTES = 2 << 20 };

/* One level of the tree: names on the host, and those of the layers below. */
struct level {
	int fd; /* -1: nothing of it is on the host */
	struct sing_names host;
	struct sing_stack_names layered;
	size_t next_host;
	size_t next_layered;
};

static int enter(struct sing_scan *scan, const char *name)
{
	size_t length = strlen(name);
	size_t needed = scan->path_length + length + 2;

	if (needed > scan->path_room) {
		char *path = realloc(scan->path, needed * 2);

		if (path == NULL)
			return sing_scan_fail(scan, ENOMEM, "read");
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
	const struct sing_scan_options *options = &scan->options;
	const char *relative = scan->path + scan->root_length + 1;

	if (options->exclude_count == 0)
		return false;
	return bsearch(&relative, options->excludes, options->exclude_count, sizeof *options->excludes,
		       sing_names_compare) != NULL;
}

/* An item with all that is to be said of an entry: of the open `fd`, or of the one named `in` there. NULL after a failure. */
static struct sing_item *describe(struct sing_scan *scan, enum sing_item_kind kind, const char *name,
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

/* A directory, of the open `fd`. */
static struct sing_item *describe_directory(struct sing_scan *scan, const char *name, const struct stat *status, int fd)
{
	struct sing_item *item = describe(scan, SING_ITEM_DIRECTORY, name, status, fd, NULL);

	if (item == NULL || !scan->options.named_marks || item->opaque || !exists(fd, SING_WHITEOUT_OPAQUE))
		return item;
	item->opaque = true;
	if (sing_marks_add_opaque(&item->xattrs) == 0)
		return item;
	sing_item_free(item);
	sing_scan_fail(scan, ENOMEM, "read");
	return NULL;
}

/* A file that is a mark by its name. */
static int look_at_mark(struct sing_scan *scan, int parent, const char *mark)
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
		item = describe(scan, SING_ITEM_FILE, name, &status, fd, NULL);
	if (item == NULL || item->kind != SING_ITEM_FILE) {
		close(fd);
		return item == NULL ? -1 : sing_scan_put(scan, item);
	}
	item->fd = fd;
	posix_fadvise(fd, 0, AHEAD_BYTES, POSIX_FADV_WILLNEED);
	return sing_scan_put(scan, item);
}

/* O_NONBLOCK: should a pipe have taken the file's place, opening it must not wait for a writer. */
static int look_at_file(struct sing_scan *scan, int parent, const char *name)
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

static int look_at_other(struct sing_scan *scan, int parent, const char *name, const struct stat *status)
{
	struct sing_item *item;
	int error;

	if (scan->options.marks == SING_MARKS_APPLY && sing_is_whiteout(status))
		return 0;
	item = describe(scan, SING_ITEM_OTHER, name, status, parent, name);
	if (item == NULL)
		return -1;
	error = S_ISLNK(status->st_mode) ? read_target(scan, parent, item) : 0;
	if (error != 0) {
		sing_item_free(item);
		return sing_scan_fail(scan, error, "read");
	}
	return sing_scan_put(scan, item);
}

static int look_below(struct sing_scan *scan, int fd, const struct sing_merged *merged);

/* Hand over a directory and all that is in it. */
static int put_directory(struct sing_scan *scan, struct sing_item *item, int fd, const struct sing_merged *merged)
{
	if (sing_scan_put(scan, item) != 0 || look_below(scan, fd, merged) != 0)
		return -1;
	item = sing_item_create(SING_ITEM_UP, "");
	return item == NULL ? sing_scan_fail(scan, ENOMEM, "read") : sing_scan_put(scan, item);
}

/* What the layers have in the place of a directory of the host: nothing, unless it is a directory, too. */
static int find_below(struct sing_scan *scan, struct level *level, bool opaque, struct sing_found *below)
{
	int error;

	*below = (struct sing_found){ 0 };
	if (level == NULL)
		return 0;
	if (opaque) {
		sing_stack_pass(&level->layered, &level->next_layered);
		return 0;
	}
	error = sing_stack_find(&scan->stack, &level->layered, &level->next_layered, below);
	return error != 0 ? sing_scan_fail(scan, error, "read") : 0;
}

/* `level` is that of the layers, when they have the name. */
static int look_at_open_directory(struct sing_scan *scan, int fd, const char *name, struct level *level)
{
	struct sing_item *item;
	struct sing_found below;
	struct stat status;
	int result;

	if (fstat(fd, &status) != 0)
		return sing_scan_fail(scan, errno, "read");
	item = describe_directory(scan, name, &status, fd);
	if (item == NULL)
		return -1;
	if (find_below(scan, level, item->opaque, &below) != 0) {
		sing_item_free(item);
		return -1;
	}
	result = put_directory(scan, item, fd, &below.merged);
	sing_found_free(&below);
	return result;
}

static int look_at_directory(struct sing_scan *scan, int parent, const char *name, struct level *level)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result;

	if (fd < 0)
		return sing_scan_fail(scan, errno, "open");
	result = look_at_open_directory(scan, fd, name, level);
	close(fd);
	return result;
}

/* Regular files are opened at once and looked at then, which saves a call for each. */
static int look_at_host(struct sing_scan *scan, int parent, const char *name, struct level *level)
{
	unsigned char type = sing_names_type(name);
	struct stat status;

	if (scan->options.named_marks && strncmp(name, SING_WHITEOUT_PREFIX, strlen(SING_WHITEOUT_PREFIX)) == 0)
		return look_at_mark(scan, parent, name);
	if (type == DT_REG)
		return look_at_file(scan, parent, name);
	if (type == DT_DIR)
		return look_at_directory(scan, parent, name, level);
	if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
		return sing_scan_fail(scan, errno, "read");
	if (S_ISREG(status.st_mode))
		return look_at_file(scan, parent, name);
	if (S_ISDIR(status.st_mode))
		return look_at_directory(scan, parent, name, level);
	return look_at_other(scan, parent, name, &status);
}

static int look_at_found(struct sing_scan *scan, const char *name, struct sing_found *found)
{
	struct sing_item *item = sing_item_of_layer(scan, name, found);

	if (item == NULL)
		return -1;
	return item->kind == SING_ITEM_DIRECTORY ? put_directory(scan, item, -1, &found->merged) : sing_scan_put(scan, item);
}

static int look_at_layered(struct sing_scan *scan, const char *name, struct level *level)
{
	struct sing_found found;
	int error = sing_stack_find(&scan->stack, &level->layered, &level->next_layered, &found);
	int result;

	if (error != 0)
		return sing_scan_fail(scan, error, "read");
	result = found.inode == NULL ? 0 : look_at_found(scan, name, &found);
	sing_found_free(&found);
	return result;
}

/* `host` and `layered`: who has the name. What is on the host hides what is below, unless both are directories. */
static int look_at(struct sing_scan *scan, struct level *level, const char *name, bool host, bool layered)
{
	size_t before = level->next_layered;
	size_t length = scan->path_length;
	int result = 0;

	if (enter(scan, name) != 0)
		return -1;
	if (!excluded(scan))
		result = host ? look_at_host(scan, level->fd, name, layered ? level : NULL) :
				look_at_layered(scan, name, level);
	if (result != 0)
		return -1;
	leave(scan, length);
	if (layered && level->next_layered == before)
		sing_stack_pass(&level->layered, &level->next_layered);
	return 0;
}

static int look_at_level(struct sing_scan *scan, struct level *level)
{
	int result = 0;

	while (result == 0 && (level->next_host < level->host.count || level->next_layered < level->layered.count)) {
		const char *host = level->next_host < level->host.count ? level->host.list[level->next_host] : NULL;
		const char *layered = level->next_layered < level->layered.count ?
					      level->layered.list[level->next_layered].text :
					      NULL;
		int order = host == NULL ? 1 : layered == NULL ? -1 : strcmp(host, layered);

		level->next_host += order <= 0;
		result = look_at(scan, level, order <= 0 ? host : layered, order <= 0, order >= 0);
	}
	return result;
}

static int look_below(struct sing_scan *scan, int fd, const struct sing_merged *merged)
{
	struct level level = { .fd = fd };
	int error = 0;
	int result;

	if (++scan->depth > SING_DEPTH_LIMIT)
		return sing_scan_fail(scan, SING_NESTED, "read");
	if (fd >= 0)
		error = sing_names_read(fd, &level.host);
	if (error == 0)
		error = sing_stack_list(&scan->stack, merged, &level.layered);
	result = error != 0 ? sing_scan_fail(scan, error, "list") : look_at_level(scan, &level);
	sing_names_free(&level.host);
	sing_stack_names_free(&level.layered);
	scan->depth--;
	return result;
}

void sing_scan_look(struct sing_scan *scan)
{
	const struct sing_scan_options *options = &scan->options;
	int fd = open(options->directory == NULL ? options->root : options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sing_found below = { 0 };
	struct sing_item *item = NULL;
	struct stat status;
	int error = fd < 0 || fstat(fd, &status) != 0 ? errno : sing_stack_root(&scan->stack, "/", &below);

	if (error != 0)
		sing_scan_fail(scan, error, "open");
	else
		item = describe_directory(scan, "", &status, fd);
	if (item != NULL)
		(void)put_directory(scan, item, fd, &below.merged);
	sing_found_free(&below);
	if (fd >= 0)
		close(fd);
}
