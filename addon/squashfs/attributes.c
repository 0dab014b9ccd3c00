/* Reads extended attributes from files of the host, and of layers. */
#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include <sqfs/error.h>
#include <sqfs/xattr.h>

#include "attributes.h"
#include "marks.h"
#include "record.h"

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

/* Room for one more attribute, whose bytes are no more than `wanted`. */
static int make_room(struct sing_xattr_list *list, size_t used, size_t wanted)
{
	if (list->values_room - used < wanted) {
		size_t room = used + 2 * wanted;
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

static void sort(struct sing_xattr_list *list)
{
	if (list->count > 0)
		qsort(list->items, list->count, sizeof *list->items, by_name);
}

/* Values move while the list grows: until it is complete they are offsets. */
static int read_values(struct sing_xattr_list *list, const struct place *place, size_t length)
{
	size_t used = 0;

	for (const char *name = list->names; name < list->names + length; name += strlen(name) + 1) {
		ssize_t size;

		if (sqfs_get_xattr_prefix_id(name) < 0)
			continue;
		if (make_room(list, used, XATTR_SIZE_MAX) != 0)
			return ENOMEM;
		size = get_value(place, name, list->values + used, XATTR_SIZE_MAX);
		if (size < 0)
			continue;
		list->items[list->count++] = (struct sing_xattr){ name, (void *)used, (size_t)size };
		used += (size_t)size;
	}
	for (size_t i = 0; i < list->count; i++)
		list->items[i].value = list->values + (size_t)list->items[i].value;
	sort(list);
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

/* A file has no more on any file system; an image may say the same large value many times. */
enum { COPY_LIMIT = 1024 * 1024 };

struct copying {
	struct sing_xattr_list *list;
	size_t used;
};

/* The value, and its name behind it: both as offsets. */
static int copy_pair(void *user, const char *name, const void *value, size_t size)
{
	struct copying *copying = user;
	struct sing_xattr_list *list = copying->list;
	size_t length = strlen(name) + 1;

	if (sing_is_overlay_mark(name) || strcmp(name, SING_RECORD) == 0)
		return 0;
	if (copying->used + size + length > COPY_LIMIT)
		return SQFS_ERROR_CORRUPTED;
	if (make_room(list, copying->used, size + length) != 0)
		return ENOMEM;
	memcpy(list->values + copying->used, value, size);
	memcpy(list->values + copying->used + size, name, length);
	list->items[list->count++] = (struct sing_xattr){ NULL, (void *)copying->used, size };
	copying->used += size + length;
	return 0;
}

int sing_xattrs_copy(struct sing_xattr_list *list, struct sing_image *image, const sqfs_inode_generic_t *inode)
{
	struct copying copying = { list, 0 };
	int error;

	list->count = 0;
	error = sing_image_xattrs(image, inode, copy_pair, &copying);
	for (size_t i = 0; i < list->count; i++) {
		struct sing_xattr *xattr = &list->items[i];

		xattr->value = list->values + (size_t)xattr->value;
		xattr->name = (const char *)xattr->value + xattr->size;
	}
	sort(list);
	return error;
}

int sing_xattrs_add(struct sing_xattr_list *list, const char *name, const void *value, size_t size)
{
	if (make_room(list, list->values_room, 0) != 0)
		return ENOMEM;
	list->items[list->count++] = (struct sing_xattr){ name, value, size };
	sort(list);
	return 0;
}

void sing_xattrs_free(struct sing_xattr_list *list)
{
	free(list->items);
	free(list->names);
	free(list->values);
	*list = (struct sing_xattr_list){ 0 };
}
