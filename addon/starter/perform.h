/* The operations of a launch spec. Each returns false with a refusal when it cannot be done. */
#ifndef STARTER_PERFORM_H
#define STARTER_PERFORM_H

#include "inputs.h"
#include "resolve.h"
#include "stage.h"

/* perform.c: all operations in their order; a failure ends the process unless the operation is soft. */
void perform_all(const struct spec *spec, struct input *inputs, struct stage *stage);

/* layers.c: what the root is made of, and the root */
bool perform_squashfs(struct stage *stage, const struct op *op, struct input *input);
bool perform_directory(struct stage *stage, const struct op *op, struct input *input);
bool perform_memory(struct stage *stage, const struct op *op, struct input *input);
bool perform_overlay(struct stage *stage, const struct op *op, struct input *input);
bool perform_layer_root(struct stage *stage, const struct op *op, struct input *input);

/* layers.c: what is mounted as the layer. Returns an O_PATH descriptor, or -1 with errno. */
int open_layer(const struct stage *stage, unsigned number);

/* mounts.c: what is mounted at places of the root */
bool perform_layer_bind(struct stage *stage, const struct op *op, struct input *input);
bool perform_bind(struct stage *stage, const struct op *op, struct input *input);
bool perform_tmpfs(struct stage *stage, const struct op *op, struct input *input);
bool perform_proc(struct stage *stage, const struct op *op, struct input *input);
bool perform_sysfs(struct stage *stage, const struct op *op, struct input *input);
bool perform_devpts(struct stage *stage, const struct op *op, struct input *input);
bool perform_mqueue(struct stage *stage, const struct op *op, struct input *input);
bool perform_readonly(struct stage *stage, const struct op *op, struct input *input);

/* files.c: what is made at places of the root */
bool perform_mkdir(struct stage *stage, const struct op *op, struct input *input);
bool perform_symlink(struct stage *stage, const struct op *op, struct input *input);
bool perform_file(struct stage *stage, const struct op *op, struct input *input);
bool perform_records(struct stage *stage, const struct op *op, struct input *input);

/*
 * Resolve the operation's place and do what its `missing` says when nothing is there: make a directory or a file, leave
 * the place empty (fd -1) and return true, or refuse.
 */
bool take_place(const struct stage *stage, const struct op *op, enum make make, struct place *place);

/* records.c: the text with the operation's lines in it. Returns allocated text with a final line break, or NULL. */
char *merge_records(const char *text, const struct op *op);

#endif
