/*
 * Hard links whose other name was not there when they came: it is hidden and its data went by, or it is further down. Who
 * reads the layers gives the file to all that wait for it.
 */
#ifndef SING_LINKS_H
#define SING_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nodes.h"

struct sing_wanted;

/* A name that waits. */
struct sing_waiter {
	struct sing_node *node; /* NULL when it was replaced meanwhile */
	struct sing_wanted *wanted;
	struct sing_waiter *next;
};

/* A path that names wait for. */
struct sing_wanted {
	char *path;
	struct sing_inode *inode; /* once found */
	struct sing_waiter *waiters;
	struct sing_waiter *last;  /* of them */
	struct sing_wanted *moved; /* where all that waited for it wait now */
	uint64_t before; /* in its layer: the last link to it is that member */
	uint32_t layer;  /* of the links */
	bool again;      /* look for it in that layer once more */
	struct sing_wanted *next;
};

struct sing_links {
	void *by_path;            /* tree of wanted */
	struct sing_wanted *first; /* all of them, the newest first */
	struct sing_wanted *gone;  /* those of former layers that moved */
	void *aliases;            /* tree of the hidden hard links of this layer */
};

/* A node waits for a path, in clean form. Returns 0 or ENOMEM. */
int sing_links_wait(struct sing_links *links, const char *path, struct sing_node *node, uint32_t layer, uint64_t member);

/* What is known of a path that is waited for; NULL when nobody does. */
struct sing_wanted *sing_links_find(const struct sing_links *links, const char *path);

/* All that wait for it, and those that will, get this. */
void sing_wanted_give(struct sing_wanted *wanted, struct sing_inode *inode);

/* What a name waits for by now. */
struct sing_wanted *sing_waiter_wanted(const struct sing_waiter *waiter);

/* What is waited for is the same as something else that is waited for. */
void sing_links_join(struct sing_links *links, struct sing_wanted *wanted, struct sing_wanted *target);

/* What is waited for is a hard link itself: all that wait for it wait for its target. Returns 0 or ENOMEM. */
int sing_links_move(struct sing_links *links, struct sing_wanted *wanted, const char *target, uint32_t layer,
		    uint64_t member);

/* A hidden name of this layer is a hard link (both paths in clean form), or no longer one. Returns 0 or ENOMEM. */
int sing_links_alias(struct sing_links *links, const char *path, const char *target);
void sing_links_unalias(struct sing_links *links, const char *path);

/* What the path is in this layer, behind hidden hard links. */
const char *sing_links_follow(const struct sing_links *links, const char *path);

/* Whether the layer must be read again, and `again` of the paths to look for. */
bool sing_links_look_again(struct sing_links *links, uint32_t layer);

/* The layer is done: what was found in it means nothing further down. */
void sing_links_end_layer(struct sing_links *links);

void sing_waiter_leave(struct sing_waiter *waiter);

void sing_links_free(struct sing_links *links);

#endif
