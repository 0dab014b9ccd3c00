/* What is known of an entry beside what the host says: records of owners and devices, and inodes of layers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "scan_internal.h"

static void apply(struct sing_item *item, const struct sing_record *record)
{
	struct stat *status = &item->status;

	/* what was written into a file that stands for a device went where devices send it */
	if (record->type != 0 && !S_ISREG(status->st_mode))
		return;
	if (!record->ownerless) {
		status->st_uid = record->uid;
		status->st_gid = record->gid;
		item->known = true;
	}
	if (record->type == 0)
		return;
	status->st_mode = record->type | (status->st_mode & 07777);
	status->st_rdev = makedev(record->major, record->minor);
	item->kind = SING_ITEM_OTHER;
}

/* Devices cannot have those (xattr(7)): who unpacks the image would fail over them. */
static void drop_user_attributes(struct sing_xattr_list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++)
		if (strncmp(list->items[i].name, "user.", strlen("user.")) != 0)
			list->items[kept++] = list->items[i];
	list->count = kept;
}

void sing_item_take_records(struct sing_item *item)
{
	struct sing_xattr_list *list = &item->xattrs;
	mode_t mode = item->status.st_mode;
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct sing_xattr xattr = list->items[i];
		struct sing_record record;

		if (sing_record_parse(mode, xattr.name, xattr.value, xattr.size, &record)) {
			apply(item, &record);
			continue;
		}
		if (strcmp(xattr.name, SING_RECORD) == 0)
			continue;
		if (strcmp(xattr.name, SING_CAPABILITY) == 0)
			xattr.size = sing_plain_capabilities((void *)xattr.value, xattr.size);
		list->items[kept++] = xattr;
	}
	list->count = kept;
	if (S_ISREG(mode) && item->kind != SING_ITEM_FILE)
		drop_user_attributes(list);
}

static struct stat status_of(const struct sing_found *found)
{
	const struct sing_stat *stat = &found->stat;

	return (struct stat){
		.st_mode = stat->mode,
		.st_uid = stat->uid,
		.st_gid = stat->gid,
		.st_mtim.tv_sec = stat->mtime,
		.st_nlink = stat->links,
		.st_ino = found->part.place,
		.st_size = (off_t)stat->size,
		.st_rdev = makedev(stat->major, stat->minor),
	};
}

static int copy_target(struct sing_item *item, const sqfs_inode_generic_t *inode)
{
	const char *target;
	size_t length;
	int error = sing_image_target(inode, &target, &length);

	if (error != 0)
		return error;
	item->target = strndup(target, length);
	return item->target == NULL ? ENOMEM : 0;
}

static enum sing_item_kind kind_of(mode_t mode)
{
	return S_ISDIR(mode) ? SING_ITEM_DIRECTORY : S_ISREG(mode) ? SING_ITEM_LAYERED : SING_ITEM_OTHER;
}

struct sing_item *sing_item_of_layer(struct sing_scan *scan, const char *name, struct sing_found *found)
{
	struct sing_item *item = sing_item_create(kind_of(found->stat.mode), name);
	int error;

	if (item == NULL) {
		sing_scan_fail(scan, ENOMEM, "read");
		return NULL;
	}
	item->known = true;
	item->layer = found->part.layer;
	item->status = status_of(found);
	error = sing_xattrs_copy(&item->xattrs, scan->images[item->layer], found->inode);
	if (error == 0 && S_ISLNK(item->status.st_mode))
		error = copy_target(item, found->inode);
	if (error != 0) {
		sing_item_free(item);
		sing_scan_fail(scan, error, "read");
		return NULL;
	}
	if (item->kind == SING_ITEM_LAYERED) {
		item->inode = found->inode;
		found->inode = NULL;
	}
	return item;
}
