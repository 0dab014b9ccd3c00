/* Inodes do not know where they are: a way remembers what it came through, for '..' and for links. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "failure.h"
#include "path.h"
#include "way.h"

enum { MOST_LINKS = 40 }; /* as many as the kernel follows */

void sing_way_begin(struct sing_way *way, struct sing_inode *root)
{
	way->root = root;
	way->depth = 0;
	way->links = 0;
}

struct sing_inode *sing_way_directory(const struct sing_way *way)
{
	return way->depth == 0 ? (struct sing_inode *)way->root : way->above[way->depth - 1];
}

static int follow_all(struct sing_way *way, const char *path)
{
	size_t length;
	int error = 0;

	for (length = sing_path_next(&path); error == 0 && length > 0; path += length, length = sing_path_next(&path))
		error = sing_way_step(way, path, length);
	return error;
}

int sing_way_step(struct sing_way *way, const char *name, size_t length)
{
	struct sing_inode *inode;

	if (length == 2 && memcmp(name, "..", 2) == 0) {
		way->depth -= way->depth > 0;
		return 0;
	}
	inode = sing_tree_find(sing_way_directory(way), name, length);
	if (inode == NULL)
		return ENOENT;
	if (S_ISLNK(inode->mode)) {
		if (++way->links > MOST_LINKS)
			return ELOOP;
		if (inode->target[0] == '/')
			way->depth = 0;
		return follow_all(way, inode->target);
	}
	if (!S_ISDIR(inode->mode))
		return ENOTDIR;
	if (way->depth == SING_DEPTH_LIMIT)
		return SING_NESTED;
	way->above[way->depth++] = inode;
	return 0;
}

int sing_way_follow(struct sing_way *way, const char *path, const char **name, size_t *length)
{
	*name = path;
	*length = sing_path_next(name);
	for (;;) {
		const char *after = *name + *length;
		size_t after_length = sing_path_next(&after);
		int error;

		if (after_length == 0)
			return 0;
		error = sing_way_step(way, *name, *length);
		if (error != 0)
			return error;
		*name = after;
		*length = after_length;
	}
}
