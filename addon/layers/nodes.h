/*
 * The names of an image while its layers are read from the top down. Each knows the layer that it is from and those that it
 * hides; names are found by parent and text, and are sorted only at the end.
 */
#ifndef SING_NODES_H
#define SING_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "squashfs/tree.h"

/* Layers are counted from the top: a larger number is further down. This one is below all. */
#define SING_NO_LAYER UINT32_MAX

struct sing_waiter;

struct sing_node {
	struct sing_node *parent; /* the root has none */
	struct sing_node *chain;  /* others with the same hash */
	struct sing_node *child;  /* the first of those in it */
	struct sing_node *sibling;
	union {
		struct sing_inode *inode;   /* what the name is for; NULL when no layer has said it yet */
		struct sing_waiter *waiter; /* a hard link to something further down */
	};
	uint32_t set;    /* the layer that said what it is */
	uint32_t used;   /* the topmost layer that has it as a directory, described or not */
	uint32_t floor;  /* layers below this one do not reach the name and what is in it */
	uint32_t opaque; /* the same for what is in it alone */
	uint16_t depth;  /* directories above it */
	bool waiting;    /* which of the union */
	uint8_t length;
	char name[];
};

struct sing_nodes {
	struct sing_node **buckets;
	size_t bucket_count; /* a power of two */
	size_t count;
	size_t limit; /* of count */
	uint64_t secret[2];
	struct sing_block *blocks; /* memory of the nodes */
	struct sing_node *root;
};

/* Returns 0 or ENOMEM. sing_nodes_free in either case. */
int sing_nodes_open(struct sing_nodes *nodes, size_t limit);

/* The child of that name, or NULL. */
struct sing_node *sing_nodes_find(const struct sing_nodes *nodes, const struct sing_node *parent, const char *name,
				  size_t length);

/* The child of that name, made when missing. Returns 0, ENOMEM, SING_MANY_ENTRIES or SING_NESTED. */
int sing_nodes_reach(struct sing_nodes *nodes, struct sing_node *parent, const char *name, size_t length,
		     struct sing_node **out);

/* Nobody has said yet what it is. */
bool sing_node_is_free(const struct sing_node *node);

bool sing_node_is_directory(const struct sing_node *node);
bool sing_node_is_symlink(const struct sing_node *node);

/* Whether the name is in the image: it was described, or something was put into it. */
bool sing_node_exists(const struct sing_node *node);

/* Forget what a name is for. */
void sing_node_clear(struct sing_node *node);

/* Forget everything in a directory that layers from `first` to `last` said. */
void sing_node_prune(struct sing_node *directory, uint32_t first, uint32_t last);

void sing_nodes_free(struct sing_nodes *nodes);

#endif
