/* Finds the place of each path in the tree and passes entries on to the writer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "entries.h"
#include "path.h"
#include "way.h"

static int fail(struct sing_entries *entries, int reason)
{
	return sing_fail(&entries->failure, reason, "add", entries->path);
}

/* Make a directory on the way, in place of what is not one. */
static int make_parent(struct sing_entries *entries, struct sing_way *way, const char *name, size_t length)
{
	static const struct sing_attributes plain = { .mode = S_IFDIR | 0755 };
	struct sing_inode *directory = sing_way_directory(way);
	struct sing_inode *made;
	int error;

	if (sing_tree_find(directory, name, length) != NULL)
		sing_writer_remove(entries->writer, directory, name, length);
	error = sing_writer_create(entries->writer, directory, name, length, &plain, &made);
	return error != 0 ? error : sing_way_step(way, name, length);
}

/* One step towards an entry. On top of a tree links are followed, and what leads nowhere gives way. */
static int step(struct sing_entries *entries, struct sing_way *way, const char *name, size_t length)
{
	const struct sing_inode *found = sing_tree_find(sing_way_directory(way), name, length);
	struct sing_way ahead = *way;
	int error;

	if (length == 2 && memcmp(name, "..", 2) == 0)
		return SING_NAME;
	if (found == NULL)
		return make_parent(entries, way, name, length);
	if (!entries->on_top && !S_ISDIR(found->mode))
		return ENOTDIR;
	error = sing_way_step(&ahead, name, length);
	if (error == 0)
		*way = ahead;
	return error == 0 || error == SING_NESTED ? error : make_parent(entries, way, name, length);
}

/* The directory that holds the path, made where missing, and the last component, whose length is 0 for the root. */
static int find_parent(struct sing_entries *entries, const char *path, struct sing_inode **directory,
		       const char **name, size_t *length)
{
	struct sing_way way;

	sing_way_begin(&way, sing_writer_root(entries->writer));
	*name = path;
	*length = sing_path_next(name);
	for (;;) {
		const char *after = *name + *length;
		size_t after_length = sing_path_next(&after);
		int error;

		*directory = sing_way_directory(&way);
		if (after_length == 0)
			return 0;
		error = way.depth + 1 >= SING_DEPTH_LIMIT ? SING_NESTED : step(entries, &way, *name, *length);
		if (error != 0)
			return error;
		*name = after;
		*length = after_length;
	}
}

static int find(const struct sing_entries *entries, const char *path, struct sing_inode **out)
{
	struct sing_way way;
	const char *name;
	size_t length;
	int error;

	sing_way_begin(&way, sing_writer_root(entries->writer));
	error = sing_way_follow(&way, path, &name, &length);
	if (error != 0)
		return error;
	*out = length == 0 ? sing_way_directory(&way) : sing_tree_find(sing_way_directory(&way), name, length);
	if (*out == NULL)
		return ENOENT;
	return S_ISDIR((*out)->mode) ? EISDIR : 0;
}

static int add_link(struct sing_entries *entries, struct sing_inode *directory, const char *name, size_t length,
		    const char *link)
{
	struct sing_inode *inode;
	int error = find(entries, link, &inode);

	if (error != 0)
		return error;
	if (entries->on_top)
		sing_writer_remove(entries->writer, directory, name, length);
	return sing_writer_link(entries->writer, directory, name, length, inode);
}

static int add_inode(struct sing_entries *entries, struct sing_inode *directory, const char *name, size_t length,
		     const struct sing_attributes *attributes, uint64_t size)
{
	struct sing_inode *inode = length == 0 ? directory : sing_tree_find(directory, name, length);
	int error;

	if (inode != NULL && S_ISDIR(inode->mode) && S_ISDIR(attributes->mode))
		return sing_writer_describe(entries->writer, inode, attributes);
	if (inode != NULL && (!entries->on_top || length == 0))
		return EEXIST;
	if (inode != NULL)
		sing_writer_remove(entries->writer, directory, name, length);
	error = sing_writer_create(entries->writer, directory, name, length, attributes, &inode);
	if (error == 0 && S_ISREG(attributes->mode)) {
		entries->open = true;
		entries->missing = size;
	}
	return error;
}

static int end_file(struct sing_entries *entries)
{
	if (!entries->open)
		return 0;
	if (entries->missing > 0)
		return SING_CHANGED;
	entries->open = false;
	return sing_writer_end(entries->writer);
}

int sing_entries_add(struct sing_entries *entries, const char *path, const struct sing_attributes *attributes,
		     uint64_t size, const char *link)
{
	struct sing_inode *directory;
	const char *name;
	size_t length;
	int error = end_file(entries);

	if (error != 0)
		return fail(entries, error);
	snprintf(entries->path, sizeof entries->path, "%s", path);
	error = find_parent(entries, path, &directory, &name, &length);
	if (error == 0 && link != NULL)
		error = add_link(entries, directory, name, length, link);
	else if (error == 0)
		error = add_inode(entries, directory, name, length, attributes, size);
	return error != 0 ? fail(entries, error) : 0;
}

int sing_entries_data(struct sing_entries *entries, const void *data, size_t size)
{
	int error;

	if (!entries->open || size > entries->missing)
		return fail(entries, SING_TOO_LARGE);
	/* an empty piece may have no memory at all, which libsquashfs would read */
	if (size == 0)
		return 0;
	entries->missing -= size;
	error = sing_writer_data(entries->writer, data, size);
	return error != 0 ? fail(entries, error) : 0;
}

int sing_entries_end(struct sing_entries *entries)
{
	int error = end_file(entries);

	return error != 0 ? fail(entries, error) : 0;
}
