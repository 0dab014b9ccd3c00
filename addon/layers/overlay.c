/* Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "overlay.h"

static const struct sing_xattr opaque = { "trusted.overlay.opaque", "y", 1 };

static void free_kept(struct sing_kept *kept)
{
	for (size_t i = 0; i < kept->count; i++) {
		free((char *)kept->xattrs[i].name);
		free((void *)kept->xattrs[i].value);
	}
	free(kept->xattrs);
	free(kept);
}

static int copy_xattr(struct sing_xattr *to, const struct sing_xattr *from)
{
	char *value = malloc(from->size + 1);

	*to = (struct sing_xattr){ strdup(from->name), value, from->size };
	if (value == NULL || to->name == NULL)
		return ENOMEM;
	memcpy(value, from->value, from->size);
	return 0;
}

int sing_overlay_keep(struct sing_overlay *overlay, const struct sing_inode *inode,
		      const struct sing_attributes *attributes)
{
	struct sing_kept *kept;
	int error = 0;

	/* none is news only to who had some */
	if (attributes->xattr_count == 0 && overlay->first == NULL)
		return 0;
	kept = calloc(1, sizeof *kept);
	if (kept == NULL)
		return ENOMEM;
	kept->inode = inode;
	kept->next = overlay->first;
	overlay->first = kept;
	kept->xattrs = calloc(attributes->xattr_count + 1, sizeof *kept->xattrs);
	if (kept->xattrs == NULL)
		return ENOMEM;
	while (error == 0 && kept->count < attributes->xattr_count) {
		error = copy_xattr(&kept->xattrs[kept->count], &attributes->xattrs[kept->count]);
		kept->count++;
	}
	return error;
}

static int by_name(const void *left, const void *right)
{
	return strcmp(((const struct sing_xattr *)left)->name, ((const struct sing_xattr *)right)->name);
}

/* Describe a directory once more, with one more attribute. */
static int mark_opaque(const struct sing_overlay *overlay, struct sing_merge *merge, struct sing_inode *inode)
{
	const struct sing_kept *kept = overlay->first;
	struct sing_attributes attributes = {
		.mode = inode->mode, .uid = inode->uid, .gid = inode->gid, .mtime = inode->mtime
	};
	struct sing_xattr *xattrs;
	int error;

	while (kept != NULL && kept->inode != inode)
		kept = kept->next;
	xattrs = calloc((kept == NULL ? 0 : kept->count) + 1, sizeof *xattrs);
	if (xattrs == NULL)
		return ENOMEM;
	for (size_t i = 0; kept != NULL && i < kept->count; i++)
		if (strcmp(kept->xattrs[i].name, opaque.name) != 0)
			xattrs[attributes.xattr_count++] = kept->xattrs[i];
	xattrs[attributes.xattr_count++] = opaque;
	qsort(xattrs, attributes.xattr_count, sizeof *xattrs, by_name);
	attributes.xattrs = xattrs;
	error = sing_writer_describe(merge->writer, inode, &attributes);
	free(xattrs);
	return error;
}

static int mark_name(const struct sing_overlay *overlay, struct sing_merge *merge, struct sing_node *node)
{
	static const struct sing_attributes removed = { .mode = S_IFCHR };
	static const struct sing_attributes implied = { .mode = S_IFDIR | 0755 };
	bool hides = node->floor != SING_NO_LAYER;
	int error = 0;

	if (!sing_node_exists(node) && hides)
		return sing_writer_begin(merge->writer, &removed, &node->inode);
	hides = hides || node->opaque != SING_NO_LAYER;
	if (!hides || node->waiting || (node->inode != NULL && !S_ISDIR(node->inode->mode)))
		return 0;
	if (node->inode == NULL && node->used != SING_NO_LAYER)
		error = sing_writer_begin(merge->writer, &implied, &node->inode);
	return error != 0 || node->inode == NULL ? error : mark_opaque(overlay, merge, node->inode);
}

static int mark_below(const struct sing_overlay *overlay, struct sing_merge *merge, struct sing_node *directory)
{
	int error = 0;

	for (struct sing_node *node = directory->child; error == 0 && node != NULL; node = node->sibling) {
		error = mark_name(overlay, merge, node);
		/* what was removed from a directory that is a file now is gone with it */
		if (error == 0 && (node->inode == NULL || S_ISDIR(node->inode->mode) || S_ISLNK(node->inode->mode)))
			error = mark_below(overlay, merge, node);
	}
	return error;
}

int sing_overlay_mark(struct sing_overlay *overlay, struct sing_merge *merge)
{
	struct sing_node *root = merge->nodes.root;

	root->inode = sing_writer_root(merge->writer);
	if (root->opaque != SING_NO_LAYER) {
		int error = mark_opaque(overlay, merge, root->inode);

		if (error != 0)
			return error;
	}
	return mark_below(overlay, merge, root);
}

void sing_overlay_free(struct sing_overlay *overlay)
{
	while (overlay->first != NULL) {
		struct sing_kept *next = overlay->first->next;

		free_kept(overlay->first);
		overlay->first = next;
	}
}
