/* Lists directories. A name in the list has its type in front of it, so that both are sorted together. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "names.h"

int sing_names_compare(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

unsigned char sing_names_type(const char *name)
{
	return (unsigned char)name[-1];
}

static int append(struct sing_names *names, const struct dirent *entry)
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

static int read_stream(DIR *stream, struct sing_names *names)
{
	const struct dirent *entry;
	int error = 0;

	for (;;) {
		errno = 0;
		entry = readdir(stream);
		if (entry == NULL)
			return errno;
		if (!is_dots(entry->d_name))
			error = append(names, entry);
		if (error != 0)
			return error;
	}
}

/* The stream gets a descriptor of its own: the caller goes on using the one it has. */
int sing_names_read(int fd, struct sing_names *names)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *stream = own < 0 ? NULL : fdopendir(own);
	int error;

	*names = (struct sing_names){ 0 };
	if (stream == NULL) {
		error = errno;
		if (own >= 0)
			close(own);
		return error;
	}
	error = read_stream(stream, names);
	closedir(stream);
	if (error == 0 && names->count > 0)
		qsort(names->list, names->count, sizeof *names->list, sing_names_compare);
	return error;
}

void sing_names_free(struct sing_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i] - 1);
	free(names->list);
}
