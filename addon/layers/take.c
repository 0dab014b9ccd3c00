/*
 * What each member of a layer does. What shows is packed at once, what upper layers hide goes by, unless a hard link waits for
 * it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "layers_internal.h"
#include "squashfs/path.h"

static const char whiteout[] = ".wh.";
static const char opaque[] = ".wh..wh..opq";
/* Of a file system that is no more: its own files, which mean nothing. */
static const char internal[] = ".wh..wh.";

char *sing_clean_path(const char *path)
{
	char *clean = malloc(strlen(path) + 1);
	char *end = clean;
	size_t length;

	if (clean == NULL)
		return NULL;
	for (length = sing_path_next(&path); length > 0; path += length, length = sing_path_next(&path)) {
		if (end != clean)
			*end++ = '/';
		memcpy(end, path, length);
		end += length;
	}
	*end = '\0';
	return clean;
}

static const char *last_name(const char *clean)
{
	const char *slash = strrchr(clean, '/');

	return slash == NULL ? clean : slash + 1;
}

/* Data up to the end of the file, with its holes. `captured` may be NULL. */
static int write_data(struct sing_layers *layers, const struct sing_member *member, struct sing_captured *captured)
{
	uint64_t written = 0;
	const void *data;
	size_t size;
	uint64_t offset;
	int reason = 0;
	int result;

	while ((result = sing_archive_data(layers->archive, &data, &size, &offset, &reason)) > 0) {
		if (offset < written || offset > member->size || size > member->size - offset)
			return SING_TAR_DAMAGED;
		reason = sing_writer_zeros(layers->writer, offset - written);
		if (reason == 0)
			reason = sing_writer_data(layers->writer, data, size);
		if (reason != 0)
			return reason;
		if (captured != NULL)
			memcpy(captured->data + offset, data, size);
		written = offset + size;
		layers->position = sing_feed_position(layers->feed);
	}
	if (result < 0)
		return reason;
	reason = sing_writer_zeros(layers->writer, member->size - written);
	return reason != 0 ? reason : sing_writer_end(layers->writer);
}

static int pack(struct sing_layers *layers, const struct sing_member *member, struct sing_inode **out)
{
	struct sing_captured *captured = NULL;
	int error = sing_writer_begin(layers->writer, &member->attributes, out);

	if (error != 0 || !S_ISREG(member->attributes.mode))
		return error;
	error = sing_capture_begin(&layers->capture, layers->clean, member->size, *out, &captured);
	return error != 0 ? error : write_data(layers, member, captured);
}

/* What a hard link of this layer is one to: an inode when the layer shows it, else a path to wait for. */
static struct sing_inode *find_target(const struct sing_layers *layers, const char **path)
{
	const struct sing_node *node;

	*path = sing_links_follow(&layers->merge.links, *path);
	node = sing_merge_find(&layers->merge, *path);
	if (node == NULL || node->set != layers->merge.layer || sing_node_is_directory(node))
		return NULL;
	if (!node->waiting)
		return node->inode;
	*path = sing_waiter_wanted(node->waiter)->path;
	return NULL;
}

static int link_node(struct sing_layers *layers, struct sing_node *node, const char *target)
{
	struct sing_inode *inode = find_target(layers, &target);

	if (inode == NULL)
		return sing_links_wait(&layers->merge.links, target, node, layers->merge.layer, layers->member_number);
	node->inode = inode;
	return 0;
}

/* Names of upper layers wait for the name of this link. */
static int link_waiters(struct sing_layers *layers, struct sing_wanted *wanted, const char *target)
{
	struct sing_inode *inode = find_target(layers, &target);

	if (inode == NULL)
		return sing_links_move(&layers->merge.links, wanted, target, layers->merge.layer, layers->member_number);
	sing_wanted_give(wanted, inode);
	return 0;
}

/* Both names in clean form. `node` is NULL when an upper layer hides the link. */
static int add_link(struct sing_layers *layers, struct sing_node *node, const char *target)
{
	struct sing_wanted *wanted = sing_links_find(&layers->merge.links, layers->clean);
	bool visible = false;
	int error = 0;

	if (wanted != NULL)
		error = link_waiters(layers, wanted, target);
	if (error == 0 && node != NULL)
		error = sing_merge_other(&layers->merge, node, false, &visible);
	if (error != 0)
		return error;
	if (visible)
		return link_node(layers, node, target);
	return sing_links_alias(&layers->merge.links, layers->clean, target);
}

static int take_link(struct sing_layers *layers, struct sing_node *node, const char *link)
{
	int error = sing_merge_check(link);
	char *target;

	if (error != 0)
		return error;
	target = sing_clean_path(link);
	if (target == NULL)
		return ENOMEM;
	/* a link to itself changes nothing */
	if (strcmp(target, layers->clean) != 0)
		error = add_link(layers, node, target);
	free(target);
	return error;
}

/* Something else than a directory or a hard link. `node` is NULL when an upper layer hides it. */
static int take_other(struct sing_layers *layers, struct sing_node *node, const struct sing_member *member)
{
	struct sing_links *links = &layers->merge.links;
	struct sing_wanted *wanted = sing_links_find(links, layers->clean);
	struct sing_inode *inode;
	bool visible = false;
	int error = 0;

	sing_links_unalias(links, layers->clean);
	if (node != NULL)
		error = sing_merge_other(&layers->merge, node, S_ISLNK(member->attributes.mode), &visible);
	if (error != 0 || (!visible && wanted == NULL))
		return error;
	error = pack(layers, member, &inode);
	if (error == 0 && visible)
		node->inode = inode;
	if (error == 0 && wanted != NULL)
		sing_wanted_give(wanted, inode);
	return error;
}

static int take_directory(struct sing_layers *layers, struct sing_node *node, const struct sing_attributes *attributes)
{
	int error = sing_merge_directory(&layers->merge, node, attributes);

	if (error != 0 || !layers->keep_whiteouts)
		return error;
	return sing_overlay_keep(&layers->overlay, node->inode, attributes);
}

/* The name that a whiteout means, with the directories above it, or NULL where a file of the same layer stands above it. */
static int reach_whiteout(struct sing_merge *merge, const char *path, struct sing_node **out)
{
	int error = sing_merge_point(merge, path, out);

	for (struct sing_node *above = *out; error == 0 && above != NULL; above = above->parent) {
		const struct sing_inode *inode = above == *out ? NULL : above->inode;

		if (inode == NULL || S_ISDIR(inode->mode) || S_ISLNK(inode->mode))
			continue;
		*out = NULL;
		return 0;
	}
	return error != 0 || *out == NULL ? error : sing_merge_reach(merge, path, out);
}

static int take_whiteout(struct sing_layers *layers)
{
	char *path = layers->clean;
	char *name = path + (last_name(path) - path);
	bool is_opaque = strcmp(name, opaque) == 0;
	struct sing_node *node;
	int error;

	if (!is_opaque && strncmp(name, internal, sizeof internal - 1) == 0)
		return 0;
	/* the directory, or the name without its prefix */
	if (is_opaque)
		*name = '\0';
	else
		memmove(name, name + sizeof whiteout - 1, strlen(name) - sizeof whiteout + 2);
	if (!is_opaque && (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
		return SING_NAME;
	if (layers->keep_whiteouts)
		error = reach_whiteout(&layers->merge, path, &node);
	else
		error = sing_merge_point(&layers->merge, path, &node);
	if (error == 0 && node != NULL && is_opaque)
		sing_merge_opaque(&layers->merge, node);
	else if (error == 0 && node != NULL)
		sing_merge_whiteout(&layers->merge, node);
	return error;
}

static int count(struct sing_layers *layers, const struct sing_member *member)
{
	const struct sing_attributes *attributes = &member->attributes;

	if (++layers->entries > layers->limits.entries)
		return SING_MANY_ENTRIES;
	if (member->size > layers->limits.bytes || (layers->bytes += member->size) > layers->limits.bytes)
		return SING_MANY_BYTES;
	for (size_t i = 0; i < attributes->xattr_count; i++)
		layers->xattrs += strlen(attributes->xattrs[i].name) + attributes->xattrs[i].size;
	return layers->xattrs > layers->limits.xattrs ? SING_MANY_XATTRS : 0;
}

int sing_take_member(struct sing_layers *layers, const struct sing_member *member)
{
	struct sing_node *node;
	int error = count(layers, member);

	if (error != 0)
		return error;
	if (strncmp(last_name(layers->clean), whiteout, sizeof whiteout - 1) == 0)
		return take_whiteout(layers);
	error = sing_merge_reach(&layers->merge, layers->clean, &node);
	if (error != 0)
		return error;
	if (member->link != NULL)
		return take_link(layers, node, member->link);
	if (!S_ISDIR(member->attributes.mode))
		return take_other(layers, node, member);
	return node == NULL ? 0 : take_directory(layers, node, &member->attributes);
}

int sing_take_wanted(struct sing_layers *layers, const struct sing_member *member)
{
	struct sing_wanted *wanted = sing_links_find(&layers->merge.links, layers->clean);
	struct sing_inode *inode;
	int error;

	if (wanted == NULL || !wanted->again || layers->member_number > wanted->before)
		return 0;
	if (member->link != NULL || S_ISDIR(member->attributes.mode))
		return 0;
	error = pack(layers, member, &inode);
	if (error == 0)
		sing_wanted_give(wanted, inode);
	return error;
}
