/* Knows the marks of overlays by their names. */
#include <string.h>

#include "mark.h"

static const char *mark_of(const char *name)
{
	static const char *const prefixes[] = { "user.overlay.", "trusted.overlay.", "user.fuseoverlayfs.",
						"trusted.fuseoverlayfs." };

	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return name + strlen(prefixes[i]);
	return NULL;
}

bool sing_is_overlay_mark(const char *name)
{
	return mark_of(name) != NULL;
}

bool sing_is_referring_mark(const char *name)
{
	const char *mark = mark_of(name);

	return mark != NULL && (strcmp(mark, "redirect") == 0 || strcmp(mark, "metacopy") == 0);
}

bool sing_is_opaque_mark(const char *name, const void *value, size_t size)
{
	const char *mark = mark_of(name);

	return mark != NULL && strcmp(mark, "opaque") == 0 && size == 1 && *(const char *)value == 'y';
}
