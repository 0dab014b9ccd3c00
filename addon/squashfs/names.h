/* The names in a directory of the host, sorted by byte values. */
#ifndef SING_NAMES_H
#define SING_NAMES_H

#include <stddef.h>

struct sing_names {
	char **list;
	size_t count;
	size_t room;
};

/* Read the names in an open directory, without '.' and '..'. Returns 0 or an errno; sing_names_free in either case. */
int sing_names_read(int fd, struct sing_names *names);

/* The type of a name in the list as readdir gave it (DT_REG, DT_UNKNOWN). */
unsigned char sing_names_type(const char *name);

void sing_names_free(struct sing_names *names);

/* Order of strings in an array, for qsort and bsearch. */
int sing_names_compare(const void *left, const void *right);

#endif
