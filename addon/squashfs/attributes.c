/* Reads extended attributes from files of the host. */
#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include <sqfs/xattr.h>

#include "attributes.h"

/* Calls by descriptor where there is one. Links and devices are not opened: they are reached through /proc. */
struct place {
	int fd;
	const char *path;
};

static ssize_t list_names(const struct place *place, char *buffer, size_t size)
{
	return place->path != NULL ? llistxattr(place->path, buffer, size) : flistxattr(place->fd, buffer, size);
}

static ssize_t get_value(const struct place *place, const char *name, void *buffer, size_t size)
{
	if (place->path != NULL)
		return lgetxattr(place->path, name, buffer, size);
	return fgetxattr(place->fd, name, buffer, size);
}

static int by_name(const void *left, const void *right)
{
	return strcmp(((const struct sing_xattr *)left)->name, ((const struct sing_xattr *)right)->name);
}

static int make_room(struct sing_xattr_list *list, size_t used)
{
	if (list->values_room - used < XATTR_SIZE_MAX) {
		size_t room = used + 2 * XATTR_SIZE_MAX;
		char *values = realloc(list->values, room);

		if (values == NULL)
			return ENOMEM;
		list->values = values;
		list->values_room = room;
	}
	if (list->count == list->room) {
		size_t room = list->room == 0 ? 8 : list->room * 2;
		struct sing_xattr *items = reallocarray(list->items, room, sizeof *items);

		if (items == NULL)
			return ENOMEM;
		list->items = items;
		list->room = room;
	}
	return 0;
}

/* Values move while the list grows: until it is complete they are offsets. */
static int read_values(struct sing_xattr_list *list, const struct place *place, size_t length)
{
	size_t used = 0;

	for (const char *name = list->names; name < list->names + length; name += strlen(name) + 1) {
		ssize_t size;

		if (sqfs_get_xattr_prefix_id(name) < 0)
			continue;
		if (make_room(list, used) != 0)
			return ENOMEM;
		size = get_value(place, name, list->values + used, XATTR_SIZE_MAX);
		if (size < 0)
			continue;
		list->items[list->count++] = (struct sing_xattr){ name, (void *)used, (size_t)size };
		used += (size_t)size;
	}
	for (size_t i = 0; i < list->count; i++)
		list->items[i].value = list->values + (size_t)list->items[i].value;
	if (list->count > 0)
		qsort(list->items, list->count, sizeof *list->items, by_name);
	return 0;
}

int sing_xattrs_read(struct sing_xattr_list *list, int fd, const char *name)
{
	char path[sizeof "/proc/self/fd//" + 3 * sizeof fd + NAME_MAX];
	struct place place = { fd, NULL };
	ssize_t length;

	list->count = 0;
	if (list->names == NULL)
		list->names = malloc(XATTR_LIST_MAX + 1);
	if (list->names == NULL)
		return ENOMEM;
	if (name != NULL) {
		snprintf(path, sizeof path, "/proc/self/fd/%d/%s", fd, name);
		place.path = path;
	}
	length = list_names(&place, list->names, XATTR_LIST_MAX);
	if (length <= 0)
		return 0;
	list->names[length] = '\0';
	return read_values(list, &place, (size_t)length);
}

void sing_xattrs_free(struct sing_xattr_list *list)
{
	free(list->items);
	free(list->names);
	free(list->values);
	*list = (struct sing_xattr_list){ 0 };
}
