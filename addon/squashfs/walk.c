/* Gives the writer what a scan finds: names and attributes, and the data of files, which is read here. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base.h"
#include "trail.h"
#include "walk.h"

enum { BUFFER_SIZE = 256 * 1024 };

/* A file with several names, by its identity on the host or in a layer. */
struct linked {
	unsigned layer;
	dev_t device;
	ino_t number;
	struct sing_inode *inode;
};

struct walk {
	struct sing_writer *writer;
	const struct sing_base *base;
	struct sing_failure *failure;
	struct sing_inode *above[SING_DEPTH_LIMIT + 1]; /* the directories that we are in */
	size_t depth;
	void *linked; /* tree of struct linked */
	struct sing_trail trail; /* of what is packed, for messages */
	char buffer[BUFFER_SIZE];
};

static int fail(struct walk *walk, int reason, const char *action)
{
	return sing_fail(walk->failure, reason, action, walk->trail.path);
}

/* Replace the last component, or go one step down from `length`. */
static int set_name(struct walk *walk, const char *name)
{
	int error = sing_trail_name(&walk->trail, name);

	return error == 0 ? 0 : fail(walk, error, "pack");
}

static int by_identity(const void *left, const void *right)
{
	const struct linked *a = left;
	const struct linked *b = right;

	if (a->layer != b->layer)
		return a->layer < b->layer ? -1 : 1;
	if (a->device != b->device)
		return a->device < b->device ? -1 : 1;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return 0;
}

static struct linked identity_of(const struct sing_item *item, struct sing_inode *inode)
{
	return (struct linked){ item->layer, item->status.st_dev, item->status.st_ino, inode };
}

static struct sing_inode *find_linked(const struct walk *walk, const struct sing_item *item)
{
	struct linked key = identity_of(item, NULL);
	struct linked *const *found;

	if (item->status.st_nlink < 2)
		return NULL;
	found = tfind(&key, &walk->linked, by_identity);
	return found == NULL ? NULL : (*found)->inode;
}

static int remember_linked(struct walk *walk, const struct sing_item *item, struct sing_inode *inode)
{
	struct linked *linked;

	if (item->status.st_nlink < 2)
		return 0;
	linked = malloc(sizeof *linked);
	if (linked == NULL)
		return fail(walk, ENOMEM, "pack");
	*linked = identity_of(item, inode);
	if (tsearch(linked, &walk->linked, by_identity) == NULL) {
		free(linked);
		return fail(walk, ENOMEM, "pack");
	}
	return 0;
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
		.known = item->known,
		.layer = item->layer,
		.xattrs = item->xattrs.items,
		.xattr_count = item->xattrs.count,
	};
}

/* Whether a file is copied as it lies in its layer. */
static bool is_adopted(const struct walk *walk, const struct sing_item *item)
{
	return item->kind == SING_ITEM_LAYERED && walk->base->layers[item->layer].adoption != NULL;
}

static int create(struct walk *walk, struct sing_item *item, struct sing_inode **out)
{
	struct sing_attributes attributes = attributes_of(item);
	struct sing_inode *directory = walk->above[walk->depth - 1];
	int error;

	if (is_adopted(walk, item))
		attributes.adopted = item->inode;
	error = sing_writer_create(walk->writer, directory, item->name, strlen(item->name), &attributes, out);
	/* the inode may be the writer's by now, whatever came after */
	if (*out != NULL && attributes.adopted != NULL && (*out)->file == item->inode)
		item->inode = NULL;
	return error;
}

/* Add a new inode, or one more name of a known one: then nothing comes back. */
static int add(struct walk *walk, struct sing_item *item, struct sing_inode **out)
{
	struct sing_inode *directory = walk->above[walk->depth - 1];
	bool is_directory = S_ISDIR(item->status.st_mode);
	struct sing_inode *known = is_directory ? NULL : find_linked(walk, item);
	int error;

	*out = NULL;
	if (known != NULL)
		error = sing_writer_link(walk->writer, directory, item->name, strlen(item->name), known);
	else
		error = create(walk, item, out);
	if (error != 0)
		return fail(walk, error, "pack");
	return is_directory || known != NULL ? 0 : remember_linked(walk, item, *out);
}

static int add_root(struct walk *walk, const struct sing_item *item)
{
	struct sing_attributes attributes = attributes_of(item);
	struct sing_inode *root = sing_writer_root(walk->writer);
	int error = sing_writer_describe(walk->writer, root, &attributes);

	walk->above[walk->depth++] = root;
	return error != 0 ? fail(walk, error, "pack") : 0;
}

static int add_directory(struct walk *walk, struct sing_item *item)
{
	struct sing_inode *inode;

	if (walk->depth == 0)
		return add_root(walk, item);
	if (add(walk, item, &inode) != 0)
		return -1;
	walk->above[walk->depth++] = inode;
	walk->trail.length += strlen(item->name) + 1;
	return 0;
}

static void go_up(struct walk *walk)
{
	walk->depth--;
	if (walk->depth > 0) {
		walk->trail.path[walk->trail.length] = '\0';
		walk->trail.length = (size_t)(strrchr(walk->trail.path, '/') - walk->trail.path);
	}
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

/* A file that has grown since it was opened is packed as it was then. */
static int add_file(struct walk *walk, struct sing_item *item)
{
	const struct stat *status = &item->status;
	bool sparse = status->st_blocks < status->st_size / 512;
	struct sing_inode *inode;
	int error;

	if (add(walk, item, &inode) != 0)
		return -1;
	if (inode == NULL)
		return 0;
	if (sparse ? read_sparse(walk, item->fd, status->st_size) : read_range(walk, item->fd, 0, status->st_size))
		return -1;
	error = sing_writer_end(walk->writer);
	return error != 0 ? fail(walk, error, "pack") : 0;
}

static int write_stretch(void *user, uint64_t offset, const void *bytes, size_t size)
{
	struct walk *walk = user;

	(void)offset;
	return bytes == NULL ? sing_writer_zeros(walk->writer, size) : sing_writer_data(walk->writer, bytes, size);
}

/* One of a layer whose blocks are others than ours is unpacked. */
static int add_layered(struct walk *walk, struct sing_item *item)
{
	bool adopted = is_adopted(walk, item);
	struct sing_inode *inode;
	int error;

	if (add(walk, item, &inode) != 0)
		return -1;
	if (inode == NULL || adopted)
		return 0;
	error = sing_data_read(walk->base->layers[item->layer].data, item->inode, write_stretch, walk);
	if (error != 0)
		return fail(walk, error, "read");
	error = sing_writer_end(walk->writer);
	return error != 0 ? fail(walk, error, "pack") : 0;
}

static int take_entry(struct walk *walk, struct sing_item *item)
{
	struct sing_inode *inode;

	switch (item->kind) {
	case SING_ITEM_UP:
		go_up(walk);
		return 0;
	case SING_ITEM_DIRECTORY:
		return add_directory(walk, item);
	case SING_ITEM_FILE:
		return add_file(walk, item);
	case SING_ITEM_LAYERED:
		return add_layered(walk, item);
	case SING_ITEM_OTHER:
		return add(walk, item, &inode);
	case SING_ITEM_FAILURE:
		*walk->failure = *item->failure;
		return -1;
	}
	return 0;
}

/* Not an error of anybody: the root is complete. */
enum { COMPLETE = 1 };

static int take(void *user, struct sing_item *item)
{
	struct walk *walk = user;
	bool named = item->kind != SING_ITEM_FAILURE && item->kind != SING_ITEM_UP;

	if (walk->depth > 0 && named && set_name(walk, item->name) != 0)
		return -1;
	if (take_entry(walk, item) != 0)
		return -1;
	return walk->depth == 0 ? COMPLETE : 0;
}

static int run(struct walk *walk, const struct sing_scan_options *options)
{
	struct sing_scan *scan;
	int error = sing_scan_start(options, &scan);
	int result;

	if (error != 0)
		return sing_fail(walk->failure, error, "read", options->root);
	result = sing_scan_each(scan, take, walk);
	sing_scan_end(scan);
	if (result == COMPLETE)
		return 0;
	/* it ended without coming back up to the root, nor could it say why */
	return result == 0 ? fail(walk, ENOMEM, "read") : -1;
}

int sing_walk(struct sing_writer *writer, const struct sing_scan_options *options, struct sing_failure *failure)
{
	struct walk *walk = calloc(1, sizeof *walk);
	int result;

	if (walk == NULL || sing_trail_begin(&walk->trail, options->root) != 0) {
		free(walk);
		return sing_fail(failure, ENOMEM, "read", options->root);
	}
	walk->writer = writer;
	walk->base = options->base;
	walk->failure = failure;
	result = run(walk, options);
	tdestroy(walk->linked, free);
	free(walk->trail.path);
	free(walk);
	return result;
}
