/* Finds the place of each path in the tree and passes entries on to the writer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "entries.h"

static int fail(struct sing_entries *entries, int reason)
{
	return sing_fail(&entries->failure, reason, "add", entries->path);
}

/* The next component, which means something; its length is 0 at the end of the path. */
static size_t next(const char **path)
{
	for (;;) {
		size_t length = strcspn(*path, "/");

		if (length > 1 || (length == 1 && **path != '.'))
			return length;
		*path += length;
		if (**path == '\0')
			return 0;
		*path += 1;
	}
}

static int make_parent(struct sing_entries *entries, struct sing_inode **directory, const char *name, size_t length)
{
	static const struct sing_attributes plain = { .mode = S_IFDIR | 0755 };
	struct sing_inode *found = sing_tree_find(*directory, name, length);
	int error;

	if (found == NULL) {
		error = sing_writer_create(entries->writer, *directory, name, length, &plain, &found);
		if (error != 0)
			return error;
	}
	*directory = found;
	return S_ISDIR(found->mode) ? 0 : ENOTDIR;
}

/* The directory that holds the path, made where missing, and the last component, whose length is 0 for the root. */
static int find_parent(struct sing_entries *entries, const char *path, struct sing_inode **directory,
		       const char **name, size_t *length)
{
	unsigned depth = 0;

	*directory = sing_writer_root(entries->writer);
	*name = path;
	*length = next(name);
	for (;;) {
		const char *after = *name + *length;
		size_t after_length = next(&after);
		int error;

		if (after_length == 0)
			return 0;
		if (++depth >= SING_DEPTH_LIMIT)
			return SING_NESTED;
		error = make_parent(entries, directory, *name, *length);
		if (error != 0)
			return error;
		*name = after;
		*length = after_length;
	}
}

static int find(const struct sing_entries *entries, const char *path, struct sing_inode **out)
{
	struct sing_inode *inode = sing_writer_root(entries->writer);
	size_t length;

	for (length = next(&path); length > 0; path += length, length = next(&path)) {
		inode = S_ISDIR(inode->mode) ? sing_tree_find(inode, path, length) : NULL;
		if (inode == NULL)
			return ENOENT;
	}
	*out = inode;
	return S_ISDIR(inode->mode) ? EISDIR : 0;
}

static int add_link(struct sing_entries *entries, struct sing_inode *directory, const char *name, size_t length,
		    const char *link)
{
	struct sing_inode *inode;
	int error = find(entries, link, &inode);

	return error != 0 ? error : sing_writer_link(entries->writer, directory, name, length, inode);
}

static int add_inode(struct sing_entries *entries, struct sing_inode *directory, const char *name, size_t length,
		     const struct sing_attributes *attributes, uint64_t size)
{
	struct sing_inode *inode = length == 0 ? directory : sing_tree_find(directory, name, length);
	int error;

	if (inode != NULL) {
		bool again = S_ISDIR(inode->mode) && S_ISDIR(attributes->mode);

		return again ? sing_writer_describe(entries->writer, inode, attributes) : EEXIST;
	}
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
	entries->missing -= size;
	error = sing_writer_data(entries->writer, data, size);
	return error != 0 ? fail(entries, error) : 0;
}

int sing_entries_end(struct sing_entries *entries)
{
	int error = end_file(entries);

	return error != 0 ? fail(entries, error) : 0;
}
