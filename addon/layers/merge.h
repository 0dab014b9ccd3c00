/*
 * The rules by which layers make one tree: image-spec layer.md, read from the top layer down. What a layer says of a name
 * counts when no layer above said something else of it or of a directory that it is in.
 */
#ifndef SING_MERGE_H
#define SING_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "links.h"
#include "nodes.h"
#include "squashfs/writer.h"

struct sing_merge {
	struct sing_writer *writer;
	struct sing_nodes nodes;
	struct sing_links links;
	uint32_t layer;            /* the one that is read */
	struct sing_node **through; /* symbolic links that have something put through them */
	size_t through_count;
	size_t through_room;
};

/* Returns 0 or ENOMEM. sing_merge_close in either case; the writer stays the caller's. */
int sing_merge_open(struct sing_merge *merge, struct sing_writer *writer, size_t limit);

/* Whether a path from a layer may be used at all. Returns 0, SING_NAME, ENAMETOOLONG or SING_NESTED. */
int sing_merge_check(const char *path);

/* The name that the layer has something for, its directories made; NULL in `out` when it is hidden. Returns 0 or a reason. */
int sing_merge_reach(struct sing_merge *merge, const char *path, struct sing_node **out);

/* The same for a name that the layer removes, which makes no directories. */
int sing_merge_point(struct sing_merge *merge, const char *path, struct sing_node **out);

/* Something is put through this symbolic link. Returns 0 or ENOMEM. */
int sing_merge_remember(struct sing_merge *merge, struct sing_node *link);

/* The layer describes a directory. */
int sing_merge_directory(struct sing_merge *merge, struct sing_node *node, const struct sing_attributes *attributes);

/*
 * The layer has something else of that name. True in `visible` when it counts: then the caller gives the node its inode, or
 * lets it wait for one.
 */
int sing_merge_other(struct sing_merge *merge, struct sing_node *node, bool is_symlink, bool *visible);

/* The layer removes what the layers below have of that name, or in that directory. */
void sing_merge_whiteout(struct sing_merge *merge, struct sing_node *node);
void sing_merge_opaque(struct sing_merge *merge, struct sing_node *directory);

/* The name that a path literally is, or NULL. */
struct sing_node *sing_merge_find(const struct sing_merge *merge, const char *path);

/*
 * All layers were read: what was put through symbolic links moves to where these lead, and hard links that still wait look
 * there. Returns 0, or a reason and the path of the name that is to blame, which the caller frees.
 */
int sing_merge_settle(struct sing_merge *merge, char **path);

/* Give the names to the writer. After it the tree is the writer's. Returns 0 or a reason. */
int sing_merge_tie(struct sing_merge *merge);

/* The path of a name; NULL without memory. */
char *sing_node_path(const struct sing_node *node);

/* May be called twice. */
void sing_merge_close(struct sing_merge *merge);

#endif
