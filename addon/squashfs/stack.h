/*
 * Layers as the one tree that an overlay of them shows, read without a mount: of each name the topmost layer that has it, of directories
 * all layers down to one that is opaque or has something else there.
 */
#ifndef SING_STACK_H
#define SING_STACK_H

#include "part.h"
#include "reader.h"

struct sing_stack {
	struct sing_image *const *images; /* the topmost first; the caller's */
	size_t count;
	bool raw; /* of one image: a device 0:0 is what it is */
	void *met; /* directories that were found: tree of struct sing_part */
};

/* A directory of the tree: those of layers that show through, the topmost first. Nothing is in one without parts. */
struct sing_merged {
	struct sing_part *parts;
	size_t count;
};

/* What layers have in a directory, sorted by the byte values of names, with the topmost of equal names first. */
struct sing_stack_name {
	char *text;
	struct sing_part part;
};

struct sing_stack_names {
	struct sing_stack_name *list;
	size_t count;
	size_t room;
};

/* What a name stands for. */
struct sing_found {
	struct sing_part part;
	sqfs_inode_generic_t *inode; /* NULL: nothing, because a layer hides what those below have */
	struct sing_stat stat;
	struct sing_merged merged; /* of a directory */
};

/* All functions return 0 or a reason as in failure.h. What they give out is freed by the functions below. */

/* The directory that all layers have; without layers nothing. Of a stack of one it can be another than the root, which links may lead to. */
int sing_stack_root(struct sing_stack *stack, const char *path, struct sing_found *out);

int sing_stack_list(struct sing_stack *stack, const struct sing_merged *directory, struct sing_stack_names *out);

/*
 * What the name at `*at` stands for, which moves on to the next other one. A directory is found once: one that comes again is inside
 * itself, or multiplies what is below it without end.
 */
int sing_stack_find(struct sing_stack *stack, const struct sing_stack_names *names, size_t *at, struct sing_found *out);

/* Move on without looking. */
void sing_stack_pass(const struct sing_stack_names *names, size_t *at);

void sing_found_free(struct sing_found *found);
void sing_stack_names_free(struct sing_stack_names *names);
void sing_stack_end(struct sing_stack *stack);

#endif
