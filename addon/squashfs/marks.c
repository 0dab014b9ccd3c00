/* Knows the marks of overlays, those of root and those of users alike. */
#include <string.h>
#include <sys/sysmacros.h>

#include "marks.h"

/* Users may set this one, and every overlay of ours asks for it. */
static const char opaque_name[] = "user.overlay.opaque";

static const char *mark_of(const char *name)
{
	static const char *const prefixes[] = { "user.overlay.", "trusted.overlay." };

	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return name + strlen(prefixes[i]);
	return NULL;
}

bool sing_is_whiteout(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(0, 0);
}

bool sing_is_overlay_mark(const char *name)
{
	return mark_of(name) != NULL;
}

bool sing_is_opaque_mark(const char *name, const void *value, size_t size)
{
	const char *mark = mark_of(name);

	return mark != NULL && strcmp(mark, "opaque") == 0 && size == 1 && *(const char *)value == 'y';
}

bool sing_marks_take(struct sing_xattr_list *list, enum sing_marks marks)
{
	bool opaque = false;
	size_t kept = 0;

	if (marks == SING_MARKS_PLAIN)
		return false;
	for (size_t i = 0; i < list->count; i++) {
		struct sing_xattr xattr = list->items[i];

		if (sing_is_opaque_mark(xattr.name, xattr.value, xattr.size)) {
			if (opaque || marks != SING_MARKS_KEEP) {
				opaque = true;
				continue;
			}
			opaque = true;
			xattr.name = opaque_name;
		} else if (sing_is_overlay_mark(xattr.name)) {
			continue;
		}
		list->items[kept++] = xattr;
	}
	list->count = kept;
	return opaque;
}

static int look_for_opaque(void *user, const char *name, const void *value, size_t size)
{
	if (sing_is_opaque_mark(name, value, size))
		*(bool *)user = true;
	return 0;
}

int sing_image_opaque(struct sing_image *image, const sqfs_inode_generic_t *directory, bool *opaque)
{
	*opaque = false;
	return sing_image_xattrs(image, directory, look_for_opaque, opaque);
}
