/* Performs the operations of the spec from top to bottom. */
#include "perform.h"

#include "fail.h"
#include "lock.h"
#include "record.h"

#include <stdio.h>

static bool perform(struct stage *stage, const struct op *op, struct input *input)
{
	switch (op->kind) {
	case OP_SQUASHFS:
		return perform_squashfs(stage, op, input);
	case OP_EXT3:
		return perform_ext3(stage, op, input);
	case OP_DIRECTORY:
		return perform_directory(stage, op, input);
	case OP_MEMORY:
		return perform_memory(stage, op, input);
	case OP_OVERLAY:
		return perform_overlay(stage, op, input);
	case OP_LAYER_ROOT:
		return perform_layer_root(stage, op, input);
	case OP_UNDERLAY:
		return perform_underlay(stage, op, input);
	case OP_LAYER_BIND:
		return perform_layer_bind(stage, op, input);
	case OP_BIND:
		return perform_bind(stage, op, input);
	case OP_TMPFS:
		return perform_tmpfs(stage, op, input);
	case OP_PROC:
		return perform_proc(stage, op, input);
	case OP_SYSFS:
		return perform_sysfs(stage, op, input);
	case OP_DEVPTS:
		return perform_devpts(stage, op, input);
	case OP_MQUEUE:
		return perform_mqueue(stage, op, input);
	case OP_MKDIR:
		return perform_mkdir(stage, op, input);
	case OP_SYMLINK:
		return perform_symlink(stage, op, input);
	case OP_FILE:
		return perform_file(stage, op, input);
	case OP_RECORDS:
		return perform_records(stage, op, input);
	case OP_ANSWER:
		return perform_answer(stage, op, input);
	case OP_FUSE:
		return perform_fuse(stage, op, input);
	case OP_ALLOW_SETUID:
		return perform_allow_setuid(stage, op, input);
	case OP_READONLY:
		return perform_readonly(stage, op, input);
	}
	return refuse("unknown operation");
}

/* What the operation does, behind "cannot". */
static void describe(const struct op *op, char *text, size_t size)
{
	switch (op->kind) {
	case OP_SQUASHFS:
	case OP_EXT3:
		snprintf(text, size, "mount the image %s", op->from);
		return;
	case OP_DIRECTORY:
		snprintf(text, size, "use the directory %s", op->from);
		return;
	case OP_MEMORY:
		snprintf(text, size, "make the layer \"%s\" in memory", op->layer);
		return;
	case OP_OVERLAY:
		snprintf(text, size, "mount the overlay");
		return;
	case OP_UNDERLAY:
	case OP_LAYER_ROOT:
		snprintf(text, size, "use the layer \"%s\" as root", op->layer);
		return;
	case OP_LAYER_BIND:
		snprintf(text, size, "bind %s of the layer \"%s\" at %s", op->text, op->layer, op->at);
		return;
	case OP_BIND:
		snprintf(text, size, "bind %s at %s", op->from, op->at);
		return;
	case OP_TMPFS:
		snprintf(text, size, "mount a tmpfs at %s", op->at);
		return;
	case OP_PROC:
		snprintf(text, size, "mount proc at %s", op->at);
		return;
	case OP_SYSFS:
		snprintf(text, size, "mount sysfs at %s", op->at);
		return;
	case OP_DEVPTS:
		snprintf(text, size, "mount devpts at %s", op->at);
		return;
	case OP_MQUEUE:
		snprintf(text, size, "mount mqueue at %s", op->at);
		return;
	case OP_MKDIR:
		snprintf(text, size, "make the directory %s", op->at);
		return;
	case OP_SYMLINK:
		snprintf(text, size, "make the link %s", op->at);
		return;
	case OP_FILE:
	case OP_RECORDS:
	case OP_ANSWER:
		snprintf(text, size, "put a file at %s", op->at);
		return;
	case OP_FUSE:
		snprintf(text, size, "mount %s at %s", op->words[0], op->at);
		return;
	case OP_ALLOW_SETUID:
		snprintf(text, size, "let setuid programs work at %s", op->at);
		return;
	case OP_READONLY:
		snprintf(text, size, "make %s read-only", op->at);
		return;
	}
}

static bool perform_whole(const struct spec *spec, struct input *inputs, struct stage *stage, unsigned index)
{
	const struct op *op = &spec->ops[index];

	if (stage->underlay && !make_room(stage, op, &inputs[index]))
		return false;
	return perform(stage, op, &inputs[index]) &&
	       (op->kind != OP_OVERLAY || (prepare_places(stage, spec, inputs, index) && watch_overlay(stage->root)));
}

static void perform_each(const struct spec *spec, struct input *inputs, struct stage *stage, unsigned first, unsigned end)
{
	for (unsigned index = first; index < end; index++) {
		const struct op *op = &spec->ops[index];
		char what[2048];

		describe(op, what, sizeof what);
		if (perform_whole(spec, inputs, stage, index))
			debug("%s", what);
		else if (op->soft)
			warn("cannot %s: %s", what, refusal());
		else
			fail("cannot %s: %s", what, refusal());
		close_fd(&inputs[index].file);
	}
}

/* The operation behind the one that makes the root; the first in the host's tree. */
static unsigned end_of_root(const struct spec *spec)
{
	unsigned index = 0;

	if (!spec->new_root)
		return 0;
	while (!makes_root(&spec->ops[index]))
		index++;
	return index + 1;
}

void perform_root(const struct spec *spec, struct input *inputs, struct stage *stage)
{
	perform_each(spec, inputs, stage, 0, end_of_root(spec));
}

void perform_rest(const struct spec *spec, struct input *inputs, struct stage *stage)
{
	perform_each(spec, inputs, stage, end_of_root(spec), spec->op_count);
}

bool take_place(const struct stage *stage, const struct op *op, enum make make, struct place *place)
{
	enum make wanted = op->missing == MISSING_CREATE ? make : MAKE_NOTHING;

	switch (find_place(stage, op->at, wanted, make == MAKE_DIRECTORY ? 0755 : 0644, place)) {
	case FOUND:
		return true;
	case REFUSED:
		return false;
	case ABSENT:
		break;
	}
	if (op->missing == MISSING_SKIP)
		return true;
	return refuse("%s does not exist in the %s", op->at, stage->image ? "container" : "host's tree");
}
