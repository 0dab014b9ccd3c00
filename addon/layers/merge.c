/* What each entry of a layer does to the names, while layers are read. settle.c does what has to wait for the last one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "merge.h"
#include "squashfs/failure.h"
#include "squashfs/path.h"

enum { NAME_LIMIT = 255 }; /* Linux's; squashfs could hold one more */

int sing_merge_open(struct sing_merge *merge, struct sing_writer *writer, size_t limit)
{
	*merge = (struct sing_merge){ .writer = writer };
	return sing_nodes_open(&merge->nodes, limit);
}

int sing_merge_check(const char *path)
{
	unsigned depth = 0;
	size_t length;

	for (length = sing_path_next(&path); length > 0; path += length, length = sing_path_next(&path)) {
		if (length > NAME_LIMIT)
			return ENAMETOOLONG;
		if (length == 2 && memcmp(path, "..", 2) == 0)
			return SING_NAME;
		if (++depth >= SING_DEPTH_LIMIT)
			return SING_NESTED;
	}
	return 0;
}

int sing_merge_remember(struct sing_merge *merge, struct sing_node *node)
{
	if (merge->through_count == merge->through_room) {
		size_t room = merge->through_room == 0 ? 16 : merge->through_room * 2;
		struct sing_node **through = reallocarray(merge->through, room, sizeof *through);

		if (through == NULL)
			return ENOMEM;
		merge->through = through;
		merge->through_room = room;
	}
	merge->through[merge->through_count++] = node;
	return 0;
}

/* The layer puts something into what it may have called something else before. */
static int enter(struct sing_merge *merge, struct sing_node *node)
{
	if (sing_node_is_symlink(node)) {
		bool first = node->used == SING_NO_LAYER;

		node->used = merge->layer < node->used ? merge->layer : node->used;
		return first ? sing_merge_remember(merge, node) : 0;
	}
	if (!sing_node_is_free(node) && !sing_node_is_directory(node))
		sing_node_clear(node);
	if (merge->layer < node->used)
		node->used = merge->layer;
	return 0;
}

static int walk(struct sing_merge *merge, const char *path, bool has, struct sing_node **out)
{
	struct sing_node *node = merge->nodes.root;
	size_t length;

	*out = NULL;
	for (length = sing_path_next(&path); length > 0; path += length, length = sing_path_next(&path)) {
		int error = has ? enter(merge, node) : 0;

		if (error != 0)
			return error;
		if (node->opaque < merge->layer)
			return 0;
		error = sing_nodes_reach(&merge->nodes, node, path, length, &node);
		if (error != 0)
			return error;
		if (node->floor < merge->layer)
			return 0;
	}
	*out = node;
	return 0;
}

int sing_merge_reach(struct sing_merge *merge, const char *path, struct sing_node **out)
{
	return walk(merge, path, true, out);
}

int sing_merge_point(struct sing_merge *merge, const char *path, struct sing_node **out)
{
	return walk(merge, path, false, out);
}

int sing_merge_directory(struct sing_merge *merge, struct sing_node *node, const struct sing_attributes *attributes)
{
	if (node == merge->nodes.root && node->set == SING_NO_LAYER)
		node->inode = sing_writer_root(merge->writer);
	/* what an upper layer said stays */
	if (node->set < merge->layer)
		return 0;
	if (!sing_node_is_free(node) && !sing_node_is_directory(node))
		sing_node_clear(node);
	node->set = merge->layer;
	if (merge->layer < node->used)
		node->used = merge->layer;
	if (node->inode != NULL)
		return sing_writer_describe(merge->writer, node->inode, attributes);
	return sing_writer_begin(merge->writer, attributes, &node->inode);
}

/* An upper layer has a directory there. It stays, but nothing that is below this layer can be in it. */
static void stay_directory(struct sing_merge *merge, struct sing_node *node)
{
	if (node->set == merge->layer)
		sing_node_clear(node);
	sing_node_prune(node, merge->layer, merge->layer);
}

int sing_merge_other(struct sing_merge *merge, struct sing_node *node, bool is_symlink, bool *visible)
{
	bool entered = node->used < merge->layer;

	if (node == merge->nodes.root)
		return SING_NAME;
	node->floor = merge->layer;
	*visible = node->set >= merge->layer && (is_symlink || !entered);
	if (!*visible) {
		stay_directory(merge, node);
		return 0;
	}
	sing_node_clear(node);
	sing_node_prune(node, merge->layer, merge->layer);
	node->set = merge->layer;
	if (!entered)
		node->used = SING_NO_LAYER;
	return is_symlink && node->child != NULL ? sing_merge_remember(merge, node) : 0;
}

void sing_merge_whiteout(struct sing_merge *merge, struct sing_node *node)
{
	if (merge->layer < node->floor)
		node->floor = merge->layer;
}

void sing_merge_opaque(struct sing_merge *merge, struct sing_node *directory)
{
	if (merge->layer < directory->opaque)
		directory->opaque = merge->layer;
}

struct sing_node *sing_merge_find(const struct sing_merge *merge, const char *path)
{
	struct sing_node *node = merge->nodes.root;
	size_t length;

	for (length = sing_path_next(&path); node != NULL && length > 0; path += length, length = sing_path_next(&path))
		node = sing_nodes_find(&merge->nodes, node, path, length);
	return node;
}

char *sing_node_path(const struct sing_node *node)
{
	size_t length = 0;
	char *path;

	for (const struct sing_node *at = node; at->parent != NULL; at = at->parent)
		length += at->length + 1u;
	path = malloc(length + 1);
	if (path == NULL)
		return NULL;
	path[length] = '\0';
	for (; node->parent != NULL; node = node->parent) {
		length -= node->length;
		memcpy(path + length, node->name, node->length);
		path[--length] = '/';
	}
	return path;
}

void sing_merge_close(struct sing_merge *merge)
{
	sing_links_free(&merge->links);
	sing_nodes_free(&merge->nodes);
	free(merge->through);
	*merge = (struct sing_merge){ 0 };
}
