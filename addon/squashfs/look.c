/* The scanning thread's work: directories of the host and those of layers below them, name by name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "names.h"
#include "scan_internal.h"

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
	if (sing_trail_name(&scan->trail, name) != 0)
		return sing_scan_fail(scan, ENOMEM, "read");
	scan->trail.length += strlen(name) + 1;
	return 0;
}

static void leave(struct sing_scan *scan, size_t length)
{
	scan->trail.length = length;
	scan->trail.path[length] = '\0';
}

static bool excluded(const struct sing_scan *scan)
{
	const struct sing_scan_options *options = &scan->options;
	const char *relative = scan->trail.path + scan->root_length + 1;

	if (options->exclude_count == 0)
		return false;
	return bsearch(&relative, options->excludes, options->exclude_count, sizeof *options->excludes,
		       sing_names_compare) != NULL;
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
	item = sing_item_of_directory(scan, name, &status, fd);
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
		return sing_look_at_mark(scan, parent, name);
	if (type == DT_REG)
		return sing_look_at_file(scan, parent, name);
	if (type == DT_DIR)
		return look_at_directory(scan, parent, name, level);
	if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
		return sing_scan_fail(scan, errno, "read");
	if (S_ISREG(status.st_mode))
		return sing_look_at_file(scan, parent, name);
	if (S_ISDIR(status.st_mode))
		return look_at_directory(scan, parent, name, level);
	return sing_look_at_other(scan, parent, name, &status);
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
	size_t length = scan->trail.length;
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
		item = sing_item_of_directory(scan, "", &status, fd);
	if (item != NULL)
		(void)put_directory(scan, item, fd, &below.merged);
	sing_found_free(&below);
	if (fd >= 0)
		close(fd);
}
