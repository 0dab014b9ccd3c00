/* Paths that grow and shrink by names. */
#include "trail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sing_trail_begin(struct sing_trail *trail, const char *root)
{
	size_t length = strlen(root);

	while (length > 0 && root[length - 1] == '/')
		length--;
	trail->path = strndup(root, length);
	trail->length = length;
	trail->room = length + 1;
	return trail->path == NULL ? ENOMEM : 0;
}

int sing_trail_name(struct sing_trail *trail, const char *name)
{
	size_t length = strlen(name);
	size_t needed = trail->length + length + 2;

	if (needed > trail->room) {
		char *path = realloc(trail->path, needed * 2);

		if (path == NULL)
			return ENOMEM;
		trail->path = path;
		trail->room = needed * 2;
	}
	trail->path[trail->length] = '/';
	memcpy(trail->path + trail->length + 1, name, length + 1);
	return 0;
}
