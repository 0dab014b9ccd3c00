/* Reads a squashfs image from its root down: names in the order of the directories, the data of each inode once. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sources.h"
#include "squashfs/tree.h"

/* An inode that must be recognised when it comes again: a directory, which is an error, or a file with several names. */
struct seen {
	uint64_t place;
	char path[];
};

struct child {
	struct child *next;
	uint64_t place;
	char name[];
};

struct reading {
	struct sing_image *image;
	struct sing_data *data;
	struct sing_members *members;
	void *seen; /* tree of struct seen */
	unsigned depth;
};

/* Extended attributes of one inode; each value lies behind its name. */
struct xattrs {
	struct sing_xattr *items;
	size_t count;
};

static int fail(struct reading *reading, int reason, const char *action)
{
	return sing_members_fail(reading->members, reason, action);
}

static int by_place(const void *left, const void *right)
{
	const struct seen *a = left;
	const struct seen *b = right;

	return a->place < b->place ? -1 : a->place > b->place;
}

/* Look the place up, or note it under the current path. Gives the earlier path, or NULL when it is new. */
static int recognise(struct reading *reading, uint64_t place, const char **earlier)
{
	size_t length = strlen(reading->members->path);
	struct seen *seen = malloc(sizeof *seen + length + 1);
	struct seen **found;

	if (seen == NULL)
		return ENOMEM;
	seen->place = place;
	memcpy(seen->path, reading->members->path, length + 1);
	found = tsearch(seen, &reading->seen, by_place);
	*earlier = found == NULL || *found == seen ? NULL : (*found)->path;
	if (found == NULL || *found != seen)
		free(seen);
	return found == NULL ? ENOMEM : 0;
}

static int keep_xattr(void *user, const char *name, const void *value, size_t size)
{
	struct xattrs *xattrs = user;
	size_t length = strlen(name) + 1;
	struct sing_xattr *items = reallocarray(xattrs->items, xattrs->count + 1, sizeof *items);
	char *copy = items == NULL ? NULL : malloc(length + size);

	if (items != NULL)
		xattrs->items = items;
	if (copy == NULL)
		return ENOMEM;
	memcpy(copy, name, length);
	memcpy(copy + length, value, size);
	items[xattrs->count++] = (struct sing_xattr){ copy, copy + length, size };
	return 0;
}

static void free_xattrs(struct xattrs *xattrs)
{
	for (size_t i = 0; i < xattrs->count; i++)
		free((void *)xattrs->items[i].name);
	free(xattrs->items);
}

static int write_data(void *user, uint64_t offset, const void *bytes, size_t size)
{
	(void)offset;
	return sing_tar_data(user, bytes, size);
}

/* The file's own header comes before its data, and says its size. */
static int add_file(struct reading *reading, const sqfs_inode_generic_t *inode, const struct sing_attributes *attributes,
		    uint64_t size, const char *earlier)
{
	bool skipped;
	int error;

	if (sing_members_add(reading->members, attributes, size, earlier, &skipped) != 0)
		return -1;
	if (skipped || earlier != NULL || !S_ISREG(attributes->mode))
		return 0;
	error = sing_data_read(reading->data, inode, write_data, &reading->members->tar);
	return error != 0 ? fail(reading, error, "read") : 0;
}

static int add_below(struct reading *reading, const sqfs_inode_generic_t *inode, uint64_t place);

static int add_directory(struct reading *reading, const sqfs_inode_generic_t *inode,
			 const struct sing_attributes *attributes, uint64_t place)
{
	bool skipped;

	if (sing_members_add(reading->members, attributes, 0, NULL, &skipped) != 0)
		return -1;
	return skipped ? 0 : add_below(reading, inode, place);
}

static int add_described(struct reading *reading, const sqfs_inode_generic_t *inode,
			 const struct sing_attributes *attributes, const struct sing_stat *stat, uint64_t place)
{
	const char *earlier = NULL;

	if (S_ISDIR(stat->mode))
		return add_directory(reading, inode, attributes, place);
	if (stat->links > 1 && !sing_members_is_whiteout(reading->members, attributes) &&
	    recognise(reading, place, &earlier) != 0)
		return fail(reading, ENOMEM, "read");
	return add_file(reading, inode, attributes, stat->size, earlier);
}

static int read_target(const sqfs_inode_generic_t *inode, char target[4096 + 1])
{
	const char *text;
	size_t length;
	int error = sing_image_target(inode, &text, &length);

	if (error == 0) {
		memcpy(target, text, length);
		target[length] = '\0';
	}
	return error;
}

static int add_inode(struct reading *reading, const sqfs_inode_generic_t *inode, uint64_t place)
{
	char target[4096 + 1] = "";
	struct xattrs xattrs = { 0 };
	struct sing_stat stat;
	int error = sing_image_stat(reading->image, inode, &stat);
	int result;

	if (error == 0 && S_ISLNK(stat.mode))
		error = read_target(inode, target);
	if (error == 0)
		error = sing_image_xattrs(reading->image, inode, keep_xattr, &xattrs);
	if (error != 0) {
		result = fail(reading, error, "read");
	} else {
		const struct sing_attributes attributes = {
			.mode = stat.mode,
			.uid = stat.uid,
			.gid = stat.gid,
			.mtime = stat.mtime,
			.major = stat.major,
			.minor = stat.minor,
			.target = target,
			.xattrs = xattrs.items,
			.xattr_count = xattrs.count,
		};

		result = add_described(reading, inode, &attributes, &stat, place);
	}
	free_xattrs(&xattrs);
	return result;
}

static int add_child(struct reading *reading, const struct child *child)
{
	sqfs_inode_generic_t *inode;
	size_t before;
	int result;
	int error;

	if (sing_members_enter(reading->members, child->name, &before) != 0)
		return -1;
	error = sing_image_inode(reading->image, child->place, &inode);
	if (error != 0)
		return fail(reading, error, "read");
	result = add_inode(reading, inode, child->place);
	sqfs_free(inode);
	sing_members_leave(reading->members, before);
	return result;
}

struct listing {
	struct child *first;
	struct child **last;
};

static int keep_child(void *user, const char *name, uint64_t place)
{
	struct listing *listing = user;
	struct child *child = malloc(sizeof *child + strlen(name) + 1);

	if (child == NULL)
		return ENOMEM;
	child->next = NULL;
	child->place = place;
	strcpy(child->name, name);
	*listing->last = child;
	listing->last = &child->next;
	return 0;
}

static void free_children(struct child *child)
{
	while (child != NULL) {
		struct child *next = child->next;

		free(child);
		child = next;
	}
}

static int add_children(struct reading *reading, const struct child *child)
{
	for (; child != NULL; child = child->next)
		if (add_child(reading, child) != 0)
			return -1;
	return 0;
}

/* A directory has one name: one that comes again is inside itself, or multiplies what is below it without end. */
static int add_below(struct reading *reading, const sqfs_inode_generic_t *inode, uint64_t place)
{
	struct listing listing = { NULL, &listing.first };
	const char *earlier;
	int result;
	int error = recognise(reading, place, &earlier);

	if (error == 0 && (earlier != NULL || reading->depth == SING_DEPTH_LIMIT))
		error = SING_NESTED;
	if (error == 0)
		error = sing_image_list(reading->image, inode, keep_child, &listing);
	reading->depth++;
	result = error != 0 ? fail(reading, error, "read") : add_children(reading, listing.first);
	reading->depth--;
	free_children(listing.first);
	return result;
}

int sing_export_image(struct sing_image *image, struct sing_members *members)
{
	struct reading reading = { .image = image, .members = members };
	sqfs_inode_generic_t *root = NULL;
	uint64_t place = 0;
	int result = -1;
	int error = sing_data_open(image, &reading.data);

	if (error == 0)
		error = sing_image_find(image, "/", true, &root, &place);
	if (error != 0)
		fail(&reading, error, "read");
	else
		result = add_inode(&reading, root, place);
	sqfs_free(root);
	sing_data_close(reading.data);
	tdestroy(reading.seen, free);
	return result;
}
