/* Takes marks out of lists of attributes, and looks for them in layers. */
#include <sys/sysmacros.h>

#include "marks.h"

/* Users may set this one, and every overlay of ours asks for it. */
static const char opaque_name[] = "user.overlay.opaque";

bool sing_is_whiteout(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(0, 0);
}

bool sing_marks_refer(const struct sing_xattr_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (sing_is_referring_mark(list->items[i].name))
			return true;
	return false;
}

int sing_marks_add_opaque(struct sing_xattr_list *list)
{
	return sing_xattrs_add(list, opaque_name, "y", 1);
}

bool sing_marks_take(struct sing_xattr_list *list, enum sing_marks marks)
{
	bool opaque = false;
	size_t kept = 0;

	if (marks == SING_MARKS_PLAIN)
		return false;
	for (size_t i = 0; i < list->count; i++) {
		struct sing_xattr xattr = list->items[i];
		bool hides = sing_is_opaque_mark(xattr.name, xattr.value, xattr.size);
		bool stays = hides ? marks == SING_MARKS_KEEP && !opaque : !sing_is_overlay_mark(xattr.name);

		if (hides)
			xattr.name = opaque_name;
		if (stays)
			list->items[kept++] = xattr;
		opaque = opaque || hides;
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
