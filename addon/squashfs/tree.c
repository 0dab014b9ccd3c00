/* Names in sorted arrays: the order of squashfs directories, and of everything that is written from them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "failure.h"
#include "tree.h"

struct sing_inode *sing_inode_create(uint32_t mode)
{
	struct sing_inode *inode = calloc(1, sizeof *inode);

	if (inode == NULL)
		return NULL;
	inode->mode = mode;
	inode->links = S_ISDIR(mode) ? 2 : 0;
	inode->xattrs = SING_NO_XATTRS;
	return inode;
}

void sing_inode_destroy(struct sing_inode *inode)
{
	if (inode == NULL)
		return;
	if (S_ISDIR(inode->mode)) {
		for (size_t i = 0; i < inode->directory.count; i++)
			free(inode->directory.names[i].text);
		free(inode->directory.names);
	} else if (S_ISREG(inode->mode)) {
		sqfs_free(inode->file);
	} else if (S_ISLNK(inode->mode)) {
		free(inode->target);
	}
	free(inode);
}

static int compare(const char *text, const char *name, size_t length)
{
	int order = strncmp(text, name, length);

	return order != 0 ? order : text[length] != '\0';
}

/* Where the name is or belongs. Names mostly come sorted: the end is tried first. */
static size_t position(const struct sing_inode *directory, const char *name, size_t length)
{
	const struct sing_name *names = directory->directory.names;
	size_t low = 0;
	size_t high = directory->directory.count;

	if (high > 0 && compare(names[high - 1].text, name, length) < 0)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(names[middle].text, name, length) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct sing_inode *sing_tree_find(const struct sing_inode *directory, const char *name, size_t length)
{
	size_t at = position(directory, name, length);

	if (at == directory->directory.count || compare(directory->directory.names[at].text, name, length) != 0)
		return NULL;
	return directory->directory.names[at].inode;
}

static int make_room(struct sing_inode *directory)
{
	size_t room = directory->directory.room == 0 ? 8 : directory->directory.room * 2;
	struct sing_name *names;

	if (directory->directory.count < directory->directory.room)
		return 0;
	names = reallocarray(directory->directory.names, room, sizeof *names);
	if (names == NULL)
		return ENOMEM;
	directory->directory.names = names;
	directory->directory.room = room;
	return 0;
}

static int check_name(const char *name, size_t length)
{
	if (length == 0 || memchr(name, '/', length) != NULL || memchr(name, '\0', length) != NULL)
		return SING_NAME;
	if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
		return SING_NAME;
	return length > SING_NAME_LIMIT ? ENAMETOOLONG : 0;
}

int sing_tree_add(struct sing_inode *directory, const char *name, size_t length, struct sing_inode *inode)
{
	int error = check_name(name, length);
	struct sing_name *names;
	size_t at;
	char *text;

	if (error != 0)
		return error;
	if (sing_tree_find(directory, name, length) != NULL)
		return EEXIST;
	if (make_room(directory) != 0)
		return ENOMEM;
	text = strndup(name, length);
	if (text == NULL)
		return ENOMEM;
	at = position(directory, name, length);
	names = directory->directory.names;
	memmove(names + at + 1, names + at, (directory->directory.count - at) * sizeof *names);
	names[at] = (struct sing_name){ text, inode };
	directory->directory.count++;
	if (S_ISDIR(inode->mode))
		directory->links++;
	else
		inode->links++;
	return 0;
}

/* All names in a directory go; what has no name left is not in the image. */
static uint64_t empty(struct sing_inode *directory)
{
	uint64_t removed = 0;

	while (directory->directory.count > 0) {
		const char *last = directory->directory.names[directory->directory.count - 1].text;

		removed += sing_tree_remove(directory, last, strlen(last));
	}
	return removed;
}

uint64_t sing_tree_remove(struct sing_inode *directory, const char *name, size_t length)
{
	struct sing_inode *inode = sing_tree_find(directory, name, length);
	struct sing_name *names = directory->directory.names;
	size_t at = position(directory, name, length);

	if (inode == NULL)
		return 0;
	free(names[at].text);
	directory->directory.count--;
	memmove(names + at, names + at + 1, (directory->directory.count - at) * sizeof *names);
	if (!S_ISDIR(inode->mode)) {
		inode->links--;
		return 1;
	}
	directory->links--;
	return 1 + empty(inode);
}
