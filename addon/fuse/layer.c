/* Hides and adds attributes of layers. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "../squashfs/mark.h"
#include "layer.h"

static void record_device(struct inode *inode)
{
	dev_t device = inode_device(inode->device);

	if (S_ISCHR(inode->mode) && device == makedev(0, 0))
		return;
	inode->record.type = inode->mode & S_IFMT;
	inode->record.major = major(device);
	inode->record.minor = minor(device);
	inode->mode = S_IFREG | (inode->mode & 07777);
	inode->size = 0;
	inode->file.start = 0;
	inode->file.sparse = 0;
	inode->file.fragment = NO_INDEX;
}

void layer_record(const struct image *image, struct inode *inode)
{
	inode->record.uid = inode->uid;
	inode->record.gid = inode->gid;
	inode->record.ownerless = !image->owned;
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		record_device(inode);
	if (image->owned) {
		inode->uid = image->uid;
		inode->gid = image->gid;
	}
	inode->recorded = sing_record_name(inode->mode) != NULL &&
			  (inode->record.uid != inode->uid || inode->record.gid != inode->gid || inode->record.type != 0);
}

bool layer_has_xattrs(const struct image *image)
{
	return xattr_exist(image) || image->noted;
}

/* Whether an attribute that a file has is none of those that we say. */
static bool is_shown(const struct inode *inode, const char *name)
{
	if (sing_is_overlay_mark(name) || strcmp(name, SING_RECORD) == 0)
		return false;
	return !inode->recorded || strcmp(name, sing_record_name(inode->mode)) != 0;
}

static int get_stored(struct image *image, const struct inode *inode, const char *name, char value[XATTR_BYTES])
{
	return xattr_exist(image) ? xattr_get(image, inode->xattr, name, value) : -ENODATA;
}

int layer_xattr_get(struct image *image, const struct inode *inode, const char *name, char value[XATTR_BYTES])
{
	int got;

	if (!image->stacked)
		return get_stored(image, inode, name, value);
	if (inode->recorded && strcmp(name, sing_record_name(inode->mode)) == 0)
		return (int)sing_record_write(inode->mode, &inode->record, value);
	if (is_shown(inode, name))
		return get_stored(image, inode, name, value);
	got = sing_is_overlay_mark(name) ? get_stored(image, inode, name, value) : -ENODATA;
	return got < 0 || sing_is_opaque_mark(name, value, (size_t)got) ? got : -ENODATA;
}

/* Keep those names that are shown. Returns their size. */
static size_t filter(const struct inode *inode, char *names, size_t size)
{
	size_t kept = 0;

	for (size_t at = 0; at < size;) {
		size_t length = strlen(names + at) + 1;

		if (is_shown(inode, names + at)) {
			memmove(names + kept, names + at, length);
			kept += length;
		}
		at += length;
	}
	return kept;
}

int layer_xattr_list(struct image *image, const struct inode *inode, char names[XATTR_BYTES])
{
	int got = xattr_exist(image) ? xattr_list(image, inode->xattr, names) : 0;
	size_t used = got < 0 || !image->stacked ? 0 : filter(inode, names, (size_t)got);
	size_t length;

	if (got < 0 || !image->stacked)
		return got;
	if (!inode->recorded)
		return (int)used;
	length = strlen(sing_record_name(inode->mode)) + 1;
	if (used + length > XATTR_BYTES)
		return -E2BIG;
	memcpy(names + used, sing_record_name(inode->mode), length);
	return (int)(used + length);
}
