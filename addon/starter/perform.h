/* The operations of a launch spec. Each returns false with a refusal when it cannot be done. */
#ifndef STARTER_PERFORM_H
#define STARTER_PERFORM_H

#include "inputs.h"
#include "resolve.h"
#include "stage.h"

/* perform.c: the operations in their order: up to the one that makes the root, and those behind it. A failure ends the
   process unless the operation is soft. */
void perform_root(const struct spec *spec, struct input *inputs, struct stage *stage);
void perform_rest(const struct spec *spec, struct input *inputs, struct stage *stage);

/* layers.c: what the root is made of, and the root */
bool perform_squashfs(struct stage *stage, const struct op *op, struct input *input);
bool perform_ext3(struct stage *stage, const struct op *op, struct input *input);
bool perform_directory(struct stage *stage, const struct op *op, struct input *input);
bool perform_memory(struct stage *stage, const struct op *op, struct input *input);
bool perform_overlay(struct stage *stage, const struct op *op, struct input *input);
bool perform_layer_root(struct stage *stage, const struct op *op, struct input *input);

/* layers.c: what is mounted as the layer, and what of it lies below others. Returns an O_PATH descriptor, or -1 with errno. */
int open_layer(const struct stage *stage, unsigned number);
int open_lower(const struct stage *stage, const struct lower *lower);

/* layers.c: from here on places are resolved in this directory of the stage */
bool set_root(struct stage *stage, const char *name);

/* underlay.c: a root of binds, and room in it for a place that the operation is about to make */
bool perform_underlay(struct stage *stage, const struct op *op, struct input *input);
bool make_room(struct stage *stage, const struct op *op, const struct input *input);
bool restrict_rooms(struct stage *stage);

/* layers.c: the directory that takes the changes of an overlay, O_PATH, or -1 with errno; and the overlay mounted anew,
   which shows what was made there meanwhile. Nothing may be mounted on it yet. */
int open_changes(const struct stage *stage, const struct op *op);
bool renew_overlay(struct stage *stage, const struct op *op);

/* places.c: make the places that the operations behind an overlay need where the kernel would not let us */
bool prepare_places(struct stage *stage, const struct spec *spec, const struct input *inputs, unsigned overlay);

/* mounts.c: what is mounted at places of the root */
bool perform_layer_bind(struct stage *stage, const struct op *op, struct input *input);
bool find_in_layer(const struct stage *stage, const struct op *op, struct place *source); /* of a layer-bind */
bool perform_bind(struct stage *stage, const struct op *op, struct input *input);
bool perform_tmpfs(struct stage *stage, const struct op *op, struct input *input);
bool perform_proc(struct stage *stage, const struct op *op, struct input *input);
bool perform_sysfs(struct stage *stage, const struct op *op, struct input *input);
bool perform_devpts(struct stage *stage, const struct op *op, struct input *input);
bool perform_mqueue(struct stage *stage, const struct op *op, struct input *input);
bool perform_allow_setuid(struct stage *stage, const struct op *op, struct input *input);
bool perform_readonly(struct stage *stage, const struct op *op, struct input *input);

/* fuse.c: what a program of the user's serves */
bool perform_fuse(struct stage *stage, const struct op *op, struct input *input);

/* files.c: what is made at places of the root */
bool perform_mkdir(struct stage *stage, const struct op *op, struct input *input);
bool perform_symlink(struct stage *stage, const struct op *op, struct input *input);
bool perform_file(struct stage *stage, const struct op *op, struct input *input);
bool perform_records(struct stage *stage, const struct op *op, struct input *input);
bool perform_answer(struct stage *stage, const struct op *op, struct input *input);

/*
 * Resolve the operation's place and do what its `missing` says when nothing is there: make a directory or a file, leave
 * the place empty (fd -1) and return true, or refuse.
 */
bool take_place(const struct stage *stage, const struct op *op, enum make make, struct place *place);

/* records.c: the text with the operation's lines in it. Returns allocated text with a final line break, or NULL. */
char *merge_records(const char *text, const struct op *op);

#endif
