/*
 * What has to wait for the last layer. A path of a layer may lead through a symbolic link that only a layer below has
 * ('lib/x' where 'lib' is a link to 'usr/lib'): what was put under the link moves to where it leads, inside the image.
 *
 * A link that a layer further up replaced is not known here: what was put through it is hidden with it. Whoever replaced it saw
 * both names, and no tool that compares trees makes such a layer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "merge.h"
#include "squashfs/failure.h"
#include "squashfs/path.h"

enum { MOST_LINKS = 40 }; /* as many as the kernel follows */

/* A walk along a path of the tree. */
struct walk {
	struct sing_merge *merge;
	struct sing_node *node;
	bool make;      /* directories that are missing */
	unsigned links; /* followed so far */
};

static int follow(struct walk *walk, const char *path);

static int follow_link(struct walk *walk, const struct sing_node *link)
{
	const char *target = link->inode->target;

	if (++walk->links > MOST_LINKS)
		return ELOOP;
	walk->node = *target == '/' ? walk->merge->nodes.root : link->parent;
	return follow(walk, target);
}

/* One step down, into a directory. */
static int enter(struct walk *walk, const char *name, size_t length)
{
	struct sing_nodes *nodes = &walk->merge->nodes;
	struct sing_node *child;
	int error = 0;

	if (walk->make)
		error = sing_nodes_reach(nodes, walk->node, name, length, &child);
	else
		child = sing_nodes_find(nodes, walk->node, name, length);
	if (error != 0)
		return error;
	if (child == NULL)
		return ENOENT;
	if (sing_node_is_symlink(child))
		return follow_link(walk, child);
	if (!sing_node_is_free(child) && !sing_node_is_directory(child))
		return ENOTDIR;
	walk->node = child;
	return 0;
}

/* Go to the directory that a path leads to. */
static int follow(struct walk *walk, const char *path)
{
	size_t length;
	int error = 0;

	for (length = sing_path_next(&path); error == 0 && length > 0; path += length, length = sing_path_next(&path)) {
		if (length != 2 || memcmp(path, "..", 2) != 0)
			error = length > UINT8_MAX ? ENAMETOOLONG : enter(walk, path, length);
		else if (walk->node->parent != NULL)
			walk->node = walk->node->parent;
	}
	return error;
}

static int graft(struct sing_merge *merge, struct sing_node *from, struct sing_node *onto);

static int graft_children(struct sing_merge *merge, struct sing_node *from, struct sing_node *onto)
{
	struct sing_node *child = from->child;

	from->child = NULL;
	while (child != NULL) {
		struct sing_node *next = child->sibling;
		struct sing_node *target;
		int error = sing_nodes_reach(&merge->nodes, onto, child->name, child->length, &target);

		if (error == 0)
			error = graft(merge, child, target);
		if (error != 0)
			return error;
		child = next;
	}
	return 0;
}

static void forget_below(struct sing_node *node, uint32_t floor)
{
	if (node->set != SING_NO_LAYER && node->set > floor)
		sing_node_clear(node);
	if (node->used != SING_NO_LAYER && node->used > floor)
		node->used = SING_NO_LAYER;
}

/* What one of two names hides of the other. */
static void hide(const struct sing_node *upper, struct sing_node *lower)
{
	uint32_t inner = upper->opaque < upper->floor ? upper->opaque : upper->floor;

	if (upper->floor != SING_NO_LAYER)
		forget_below(lower, upper->floor);
	if (inner != SING_NO_LAYER)
		sing_node_prune(lower, inner + 1, SING_NO_LAYER - 1);
}

static uint32_t least(uint32_t one, uint32_t other)
{
	return one < other ? one : other;
}

static void take_inode(struct sing_node *from, struct sing_node *onto)
{
	sing_node_clear(onto);
	onto->set = from->set;
	onto->waiting = from->waiting;
	if (from->waiting) {
		onto->waiter = from->waiter;
		onto->waiter->node = onto;
	} else {
		onto->inode = from->inode;
	}
	from->waiting = false;
	sing_node_clear(from);
}

/* A directory in an upper layer outlives what else a lower one has there, unless that is a link into which it was put. */
static int agree(struct sing_merge *merge, struct sing_node *node)
{
	if (node->used == SING_NO_LAYER || sing_node_is_free(node) || sing_node_is_directory(node))
		return 0;
	if (sing_node_is_symlink(node))
		return sing_merge_remember(merge, node);
	if (node->used < node->set)
		sing_node_clear(node);
	return 0;
}

/* Two names become one, as if both had been there while the layers were read. */
static int graft(struct sing_merge *merge, struct sing_node *from, struct sing_node *onto)
{
	int error;

	hide(from, onto);
	hide(onto, from);
	onto->floor = least(onto->floor, from->floor);
	onto->opaque = least(onto->opaque, from->opaque);
	onto->used = least(onto->used, from->used);
	if (!sing_node_is_free(from) && from->set <= onto->set)
		take_inode(from, onto);
	error = agree(merge, onto);
	return error != 0 ? error : graft_children(merge, from, onto);
}

/* Nothing below this layer reaches what is in the directory. */
static uint32_t floor_of(const struct sing_node *directory)
{
	uint32_t floor = SING_NO_LAYER;

	for (; directory != NULL; directory = directory->parent)
		floor = least(floor, least(directory->floor, directory->opaque));
	return floor;
}

/* When nothing but names to remove was put through the link, there need not be anything where it leads. */
static int settle_through(struct sing_merge *merge, struct sing_node *link)
{
	uint32_t layer = link->used;
	struct walk walk = { .merge = merge, .make = layer != SING_NO_LAYER };
	uint32_t floor;
	int error;

	if (!sing_node_is_symlink(link) || link->child == NULL)
		return 0;
	error = follow_link(&walk, link);
	if (error != 0)
		return walk.make || error == ENOMEM ? error : 0;
	floor = floor_of(walk.node);
	if (floor != SING_NO_LAYER)
		sing_node_prune(link, floor + 1, SING_NO_LAYER - 1);
	for (struct sing_node *node = walk.node; walk.make && layer <= floor && node != NULL; node = node->parent)
		node->used = least(node->used, layer);
	return graft_children(merge, link, walk.node);
}

/* The name that is wanted; the last one of a path may be a link itself: that is what a hard link to it is for. */
static int find_name(struct sing_merge *merge, const char *path, struct sing_node **out)
{
	struct walk walk = { .merge = merge, .node = merge->nodes.root };
	const char *name = strrchr(path, '/');
	char *directory = strndup(path, name == NULL ? 0 : (size_t)(name - path));
	int error;

	*out = NULL;
	if (directory == NULL)
		return ENOMEM;
	error = follow(&walk, directory);
	free(directory);
	if (error == ENOMEM)
		return ENOMEM;
	name = name == NULL ? path : name + 1;
	if (error == 0)
		*out = sing_nodes_find(&merge->nodes, walk.node, name, strlen(name));
	return 0;
}

static struct sing_node *waiting_node(const struct sing_wanted *wanted)
{
	for (const struct sing_waiter *waiter = wanted->waiters; waiter != NULL; waiter = waiter->next)
		if (waiter->node != NULL && waiter->node->waiting)
			return waiter->node;
	return NULL;
}

/* A link that waits for a link waits for what that one waits for. */
static int settle_link(struct sing_merge *merge, struct sing_wanted *wanted)
{
	struct sing_node *node;
	int error = find_name(merge, wanted->path, &node);

	if (error != 0 || node == NULL)
		return error;
	if (node->waiting) {
		struct sing_wanted *target = sing_waiter_wanted(node->waiter);

		if (target != wanted)
			sing_links_join(&merge->links, wanted, target);
	} else if (node->inode != NULL && !sing_node_is_directory(node)) {
		sing_wanted_give(wanted, node->inode);
	}
	return 0;
}

static int settle_links(struct sing_merge *merge, char **path)
{
	struct sing_wanted *wanted;

	for (wanted = merge->links.first; wanted != NULL; wanted = wanted->next) {
		if (wanted->inode == NULL && waiting_node(wanted) != NULL) {
			int error = settle_link(merge, wanted);

			if (error != 0)
				return error;
		}
	}
	for (wanted = merge->links.first; wanted != NULL; wanted = wanted->next) {
		if (wanted->inode == NULL && waiting_node(wanted) != NULL) {
			*path = sing_node_path(waiting_node(wanted));
			return SING_LINK;
		}
	}
	return 0;
}

int sing_merge_settle(struct sing_merge *merge, char **path)
{
	/* the list may grow on the way */
	for (size_t i = 0; i < merge->through_count; i++) {
		struct sing_node *link = merge->through[i];
		int error = settle_through(merge, link);

		if (error != 0) {
			*path = sing_node_path(link);
			return error;
		}
	}
	return settle_links(merge, path);
}
