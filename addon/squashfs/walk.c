/*
 * Walks a directory by descriptors and gives what it finds to the writer. Nothing is opened by a path of more than one
 * component, so that links planted while it runs lead nowhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "attributes.h"
#include "walk.h"

enum { BUFFER_SIZE = 256 * 1024 };

/* A file with several names, by its identity on the host. */
struct linked {
	dev_t device;
	ino_t number;
	struct sing_inode *inode;
};

struct walk {
	struct sing_writer *writer;
	struct sing_failure *failure;
	const char *const *excludes;
	size_t exclude_count;
	void *linked; /* tree of struct linked */
	struct sing_xattr_list xattrs;
	char *buffer;
	char *path; /* of what is looked at, for excludes and messages */
	size_t path_length;
	size_t path_room;
	size_t root_length;
	unsigned depth;
};

struct names {
	char **list;
	size_t count;
	size_t room;
};

static int fail(struct walk *walk, int reason, const char *action)
{
	return sing_fail(walk->failure, reason, action, walk->path);
}

static int enter(struct walk *walk, const char *name)
{
	size_t length = strlen(name);
	size_t needed = walk->path_length + length + 2;

	if (needed > walk->path_room) {
		char *path = realloc(walk->path, needed * 2);

		if (path == NULL)
			return fail(walk, ENOMEM, "read");
		walk->path = path;
		walk->path_room = needed * 2;
	}
	walk->path[walk->path_length++] = '/';
	memcpy(walk->path + walk->path_length, name, length + 1);
	walk->path_length += length;
	return 0;
}

static void leave(struct walk *walk, size_t length)
{
	walk->path_length = length;
	walk->path[length] = '\0';
}

static int by_bytes(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static bool excluded(const struct walk *walk)
{
	const char *relative = walk->path + walk->root_length + 1;

	if (walk->exclude_count == 0)
		return false;
	return bsearch(&relative, walk->excludes, walk->exclude_count, sizeof *walk->excludes, by_bytes) != NULL;
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

static struct sing_inode *find_linked(const struct walk *walk, const struct stat *status)
{
	struct linked key = { status->st_dev, status->st_ino, NULL };
	struct linked *const *found;

	if (status->st_nlink < 2)
		return NULL;
	found = tfind(&key, &walk->linked, by_identity);
	return found == NULL ? NULL : (*found)->inode;
}

static int remember_linked(struct walk *walk, const struct stat *status, struct sing_inode *inode)
{
	struct linked *linked;

	if (status->st_nlink < 2)
		return 0;
	linked = malloc(sizeof *linked);
	if (linked == NULL)
		return fail(walk, ENOMEM, "read");
	*linked = (struct linked){ status->st_dev, status->st_ino, inode };
	if (tsearch(linked, &walk->linked, by_identity) == NULL) {
		free(linked);
		return fail(walk, ENOMEM, "read");
	}
	return 0;
}

static void describe(struct walk *walk, const struct stat *status, struct sing_attributes *attributes)
{
	*attributes = (struct sing_attributes){
		.mode = status->st_mode,
		.uid = status->st_uid,
		.gid = status->st_gid,
		.mtime = status->st_mtime,
		.major = major(status->st_rdev),
		.minor = minor(status->st_rdev),
		.xattrs = walk->xattrs.items,
		.xattr_count = walk->xattrs.count,
	};
}

/* Add what `fd` (or, by name, the directory's entry) is, or one more name of what is known. New inodes come back. */
static int add(struct walk *walk, struct sing_inode *directory, const char *name, const struct stat *status,
	       const char *target, struct sing_inode **out)
{
	struct sing_inode *known = find_linked(walk, status);
	struct sing_attributes attributes;
	int error;

	*out = NULL;
	if (known != NULL) {
		error = sing_writer_link(walk->writer, directory, name, strlen(name), known);
		return error != 0 ? fail(walk, error, "add") : 0;
	}
	describe(walk, status, &attributes);
	attributes.target = target;
	error = sing_writer_create(walk->writer, directory, name, strlen(name), &attributes, out);
	if (error != 0)
		return fail(walk, error, "add");
	return S_ISDIR(status->st_mode) ? 0 : remember_linked(walk, status, *out);
}

static int read_range(struct walk *walk, int fd, off_t from, off_t to)
{
	while (from < to) {
		size_t wanted = to - from < BUFFER_SIZE ? (size_t)(to - from) : BUFFER_SIZE;
		ssize_t got = pread(fd, walk->buffer, wanted, from);
		int error;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(walk, errno, "read");
		if (got == 0)
			return fail(walk, SING_CHANGED, "read");
		error = sing_writer_data(walk->writer, walk->buffer, (size_t)got);
		if (error != 0)
			return fail(walk, error, "pack");
		from += got;
	}
	return 0;
}

/* Holes are not read: the kernel knows where they are. */
static int read_sparse(struct walk *walk, int fd, off_t size)
{
	off_t at = 0;

	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA);
		off_t hole = data < 0 ? data : lseek(fd, data, SEEK_HOLE);
		int error;

		if (data < 0 && errno != ENXIO)
			return read_range(walk, fd, at, size);
		if (data < 0 || data > size)
			data = size;
		if (hole < 0 || hole > size)
			hole = size;
		error = sing_writer_zeros(walk->writer, (uint64_t)(data - at));
		if (error != 0)
			return fail(walk, error, "pack");
		if (read_range(walk, fd, data, hole) != 0)
			return -1;
		at = hole;
	}
	return 0;
}

static int read_content(struct walk *walk, int fd, const struct stat *status)
{
	int error;

	if (status->st_blocks < status->st_size / 512) {
		if (read_sparse(walk, fd, status->st_size) != 0)
			return -1;
	} else if (read_range(walk, fd, 0, status->st_size) != 0) {
		return -1;
	}
	error = sing_writer_end(walk->writer);
	return error != 0 ? fail(walk, error, "pack") : 0;
}

static int read_xattrs(struct walk *walk, int fd, const char *name)
{
	int error = sing_xattrs_read(&walk->xattrs, fd, name);

	return error != 0 ? fail(walk, error, "read the attributes of") : 0;
}

static int walk_open_file(struct walk *walk, struct sing_inode *directory, int fd, const char *name)
{
	struct sing_inode *inode;
	struct stat status;

	if (fstat(fd, &status) != 0)
		return fail(walk, errno, "read");
	if (!S_ISREG(status.st_mode))
		return fail(walk, SING_CHANGED, "read");
	if (read_xattrs(walk, fd, NULL) != 0 || add(walk, directory, name, &status, NULL, &inode) != 0)
		return -1;
	return inode == NULL ? 0 : read_content(walk, fd, &status);
}

/* O_NONBLOCK: should a pipe have taken the file's place, opening it must not wait for a writer. */
static int walk_file(struct walk *walk, struct sing_inode *directory, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return fail(walk, errno, "open");
	result = walk_open_file(walk, directory, fd, name);
	close(fd);
	return result;
}

static int walk_special(struct walk *walk, struct sing_inode *directory, int parent, const char *name,
			const struct stat *status)
{
	struct sing_inode *inode;

	if (S_ISLNK(status->st_mode)) {
		ssize_t length = readlinkat(parent, name, walk->buffer, BUFFER_SIZE - 1);

		if (length < 0)
			return fail(walk, errno, "read");
		walk->buffer[length] = '\0';
	}
	if (read_xattrs(walk, parent, name) != 0)
		return -1;
	return add(walk, directory, name, status, walk->buffer, &inode);
}

static int walk_below(struct walk *walk, struct sing_inode *directory, int fd);

static int walk_open_directory(struct walk *walk, struct sing_inode *directory, int fd, const char *name)
{
	struct sing_inode *inode;
	struct stat status;

	if (fstat(fd, &status) != 0)
		return fail(walk, errno, "read");
	if (read_xattrs(walk, fd, NULL) != 0 || add(walk, directory, name, &status, NULL, &inode) != 0)
		return -1;
	return walk_below(walk, inode, fd);
}

static int walk_directory(struct walk *walk, struct sing_inode *directory, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result;

	if (fd < 0)
		return fail(walk, errno, "open");
	result = walk_open_directory(walk, directory, fd, name);
	close(fd);
	return result;
}

/* Regular files are opened at once and looked at then, which saves a call for each. */
static int walk_entry(struct walk *walk, struct sing_inode *directory, int parent, const char *name, unsigned char type)
{
	struct stat status;

	if (type == DT_REG)
		return walk_file(walk, directory, parent, name);
	if (type == DT_DIR)
		return walk_directory(walk, directory, parent, name);
	if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
		return fail(walk, errno, "read");
	if (S_ISREG(status.st_mode))
		return walk_file(walk, directory, parent, name);
	if (S_ISDIR(status.st_mode))
		return walk_directory(walk, directory, parent, name);
	return walk_special(walk, directory, parent, name, &status);
}

/* A name in the list has its type in front of it, so that both are sorted together. */
static unsigned char type_of(const char *name)
{
	return (unsigned char)name[-1];
}

static int append_name(struct names *names, const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);
	char *name;

	if (names->count == names->room) {
		size_t room = names->room == 0 ? 32 : names->room * 2;
		char **list = reallocarray(names->list, room, sizeof *list);

		if (list == NULL)
			return ENOMEM;
		names->list = list;
		names->room = room;
	}
	name = malloc(length + 2);
	if (name == NULL)
		return ENOMEM;
	name[0] = (char)entry->d_type;
	memcpy(name + 1, entry->d_name, length + 1);
	names->list[names->count++] = name + 1;
	return 0;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int read_names(DIR *stream, struct names *names)
{
	const struct dirent *entry;
	int error = 0;

	for (;;) {
		errno = 0;
		entry = readdir(stream);
		if (entry == NULL)
			break;
		if (!is_dots(entry->d_name))
			error = append_name(names, entry);
		if (error != 0)
			return error;
	}
	if (errno != 0)
		return errno;
	if (names->count > 0)
		qsort(names->list, names->count, sizeof *names->list, by_bytes);
	return 0;
}

/* The stream gets a descriptor of its own: the walker goes on using the one it has. */
static int list_names(int fd, struct names *names)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *stream = own < 0 ? NULL : fdopendir(own);
	int error;

	if (stream == NULL) {
		error = errno;
		if (own >= 0)
			close(own);
		return error;
	}
	error = read_names(stream, names);
	closedir(stream);
	return error;
}

static void free_names(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i] - 1);
	free(names->list);
}

static int walk_names(struct walk *walk, struct sing_inode *directory, int fd, const struct names *names)
{
	size_t length = walk->path_length;

	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->list[i];

		if (enter(walk, name) != 0)
			return -1;
		if (!excluded(walk) && walk_entry(walk, directory, fd, name, type_of(name)) != 0)
			return -1;
		leave(walk, length);
	}
	return 0;
}

static int walk_below(struct walk *walk, struct sing_inode *directory, int fd)
{
	struct names names = { 0 };
	int error;
	int result;

	if (++walk->depth > SING_DEPTH_LIMIT)
		return fail(walk, SING_NESTED, "read");
	error = list_names(fd, &names);
	result = error != 0 ? fail(walk, error, "list") : walk_names(walk, directory, fd, &names);
	free_names(&names);
	walk->depth--;
	return result;
}

static int walk_root(struct walk *walk, int fd)
{
	struct sing_attributes attributes;
	struct stat status;
	int error;

	if (fstat(fd, &status) != 0)
		return fail(walk, errno, "read");
	if (read_xattrs(walk, fd, NULL) != 0)
		return -1;
	describe(walk, &status, &attributes);
	error = sing_writer_describe(walk->writer, sing_writer_root(walk->writer), &attributes);
	if (error != 0)
		return fail(walk, error, "add");
	return walk_below(walk, sing_writer_root(walk->writer), fd);
}

static int open_and_walk(struct walk *walk, const char *root)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return fail(walk, errno, "open");
	result = walk_root(walk, fd);
	close(fd);
	return result;
}

static int prepare(struct walk *walk, const char *root)
{
	size_t length = strlen(root);

	while (length > 0 && root[length - 1] == '/')
		length--;
	walk->path = strndup(root, length);
	walk->buffer = malloc(BUFFER_SIZE);
	if (walk->path == NULL || walk->buffer == NULL)
		return sing_fail(walk->failure, ENOMEM, "read", root);
	walk->path_length = walk->root_length = length;
	walk->path_room = length + 1;
	return 0;
}

int sing_walk(struct sing_writer *writer, const char *root, const char *const *excludes, size_t exclude_count,
	      struct sing_failure *failure)
{
	struct walk walk = {
		.writer = writer,
		.failure = failure,
		.excludes = excludes,
		.exclude_count = exclude_count,
	};
	int result = prepare(&walk, root);

	if (result == 0)
		result = open_and_walk(&walk, root);
	tdestroy(walk.linked, free);
	sing_xattrs_free(&walk.xattrs);
	free(walk.buffer);
	free(walk.path);
	return result;
}
