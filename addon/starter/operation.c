/* Reads the operations of a launch spec: one table row each, fields checked before anything is done. */
#include "fail.h"
#include "record.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_LAYER = 64, MOST_FIELD = 64 };

static const char *const missing_words[] = { "create", "skip", "fail", NULL };

static enum missing missing_field(const struct record *record, unsigned index)
{
	return (enum missing)word_field(record, index, missing_words);
}

static mode_t mode_field(const struct record *record, unsigned index)
{
	return (mode_t)number_field(record, index, 8, 07777);
}

static bool makes_layer(const struct op *op)
{
	return op->kind == OP_SQUASHFS || op->kind == OP_EXT3 || op->kind == OP_DIRECTORY || op->kind == OP_MEMORY;
}

bool makes_root(const struct op *op)
{
	return op->kind == OP_OVERLAY || op->kind == OP_LAYER_ROOT || op->kind == OP_UNDERLAY;
}

static const struct op *find_layer(const struct spec *spec, const char *name)
{
	for (unsigned index = 0; index < spec->op_count; index++)
		if (makes_layer(&spec->ops[index]) && strcmp(spec->ops[index].layer, name) == 0)
			return &spec->ops[index];
	return NULL;
}

static unsigned known_name(const struct record *record, const char *name, const struct spec *spec)
{
	const struct op *layer = find_layer(spec, name);

	if (!layer)
		fail("launch spec: %s: there is no layer \"%.100s\" before it", record->name, name);
	return layer->layer_number;
}

static unsigned known_layer(const struct record *record, unsigned index, const struct spec *spec)
{
	return known_name(record, record->fields[index], spec);
}

static void new_layer(const struct record *record, const struct spec *spec, struct op *op)
{
	const char *name = record->fields[0];

	if (name[0] == '\0' || strlen(name) > LONGEST_LAYER)
		fail("launch spec: %s: \"%.100s\" is no name of a layer", record->name, name);
	if (find_layer(spec, name))
		fail("launch spec: %s: there are two layers \"%s\"", record->name, name);
	op->layer = name;
	for (unsigned index = 0; index < spec->op_count; index++)
		op->layer_number += makes_layer(&spec->ops[index]);
}

/* A uid and a gid, or nothing. */
static void owner_fields(const struct record *record, unsigned index, struct op *op)
{
	op->owned = record->fields[index][0] != '\0';
	if (op->owned != (record->fields[index + 1][0] != '\0'))
		fail("launch spec: %s: an owner has a uid and a gid", record->name);
	if (!op->owned)
		return;
	op->uid = (uid_t)number_field(record, index, 10, UINT32_MAX - 1);
	op->gid = (gid_t)number_field(record, index + 1, 10, UINT32_MAX - 1);
}

static void read_squashfs(const struct record *record, const struct spec *spec, struct op *op)
{
	static const char *const ways[] = { "fuse", "kernel", NULL };

	new_layer(record, spec, op);
	op->from = path_field(record, 1);
	op->offset = number_field(record, 2, 10, INT64_MAX);
	op->size = number_field(record, 3, 10, INT64_MAX - op->offset);
	op->kernel = word_field(record, 4, ways) == 1;
	owner_fields(record, 5, op);
	op->held = record->count > 7 && flag_field(record, 7);
	op->key = record->count > 8 ? descriptor_field(record, 8) : -1;
	if (op->key >= 0 && op->kernel)
		fail("launch spec: squashfs: the kernel cannot mount what is encrypted");
}

/* The path of a program, or nothing. */
static const char *program_field(const struct record *record, unsigned index)
{
	return record->fields[index][0] == '\0' ? NULL : path_field(record, index);
}

static void read_ext3(const struct record *record, const struct spec *spec, struct op *op)
{
	static const char *const ways[] = { "read", "write", NULL };

	new_layer(record, spec, op);
	op->from = path_field(record, 1);
	op->offset = number_field(record, 2, 10, INT64_MAX);
	op->size = number_field(record, 3, 10, INT64_MAX - op->offset);
	op->writable = word_field(record, 4, ways) == 1;
	owner_fields(record, 5, op);
	op->kernel = flag_field(record, 7);
	op->program = program_field(record, 8);
	if (!op->kernel && !op->program)
		fail("launch spec: ext3: neither the kernel nor a program is to mount it");
}

static void read_directory(const struct record *record, const struct spec *spec, struct op *op)
{
	new_layer(record, spec, op);
	op->from = path_field(record, 1);
	op->writable = flag_field(record, 2);
}

static void read_memory(const struct record *record, const struct spec *spec, struct op *op)
{
	new_layer(record, spec, op);
	op->size = number_field(record, 1, 10, INT64_MAX);
}

/* `NAME`, or `NAME/upper` for the changes that the layer keeps. */
static struct lower lower_field(const struct record *record, unsigned index, const struct spec *spec)
{
	static const char part[] = "/upper";
	char name[LONGEST_LAYER + sizeof part];
	struct lower lower = { .changes = false };
	size_t length = strlen(record->fields[index]), end = strlen(part);

	snprintf(name, sizeof name, "%s", record->fields[index]);
	lower.changes = length > end && length < sizeof name && strcmp(name + length - end, part) == 0;
	if (lower.changes)
		name[length - end] = '\0';
	lower.layer = known_name(record, name, spec);
	return lower;
}

static void read_overlay(const struct record *record, const struct spec *spec, struct op *op)
{
	struct lower *lower = allocate(record->count, sizeof *lower);

	op->upper = record->fields[0][0] == '\0' ? -1 : (int)known_layer(record, 0, spec);
	op->userxattr = flag_field(record, 1);
	op->program = program_field(record, 2);
	op->lower_count = record->count - 3;
	for (unsigned index = 0; index < op->lower_count; index++)
		lower[index] = lower_field(record, index + 3, spec);
	op->lower = lower;
}

static void read_layer_root(const struct record *record, const struct spec *spec, struct op *op)
{
	op->layer = record->fields[0];
	op->layer_number = known_layer(record, 0, spec);
}

static void read_layer_bind(const struct record *record, const struct spec *spec, struct op *op)
{
	read_layer_root(record, spec, op);
	op->text = path_field(record, 1);
	op->at = path_field(record, 2);
	op->missing = missing_field(record, 3);
	op->readonly = flag_field(record, 4);
}

static void read_bind(const struct record *record, const struct spec *spec, struct op *op)
{
	(void)spec;
	op->from = path_field(record, 0);
	op->at = path_field(record, 1);
	op->missing = missing_field(record, 2);
	op->recursive = flag_field(record, 3);
	op->readonly = flag_field(record, 4);
	op->trusted = flag_field(record, 5);
	op->soft = flag_field(record, 6);
}

static void read_tmpfs(const struct record *record, const struct spec *spec, struct op *op)
{
	(void)spec;
	op->at = path_field(record, 0);
	op->missing = missing_field(record, 1);
	op->size = number_field(record, 2, 10, INT64_MAX);
	op->mode = mode_field(record, 3);
}

static void read_special(const struct record *record, const struct spec *spec, struct op *op)
{
	(void)spec;
	op->at = path_field(record, 0);
	op->missing = missing_field(record, 1);
}

static void read_mkdir(const struct record *record, const struct spec *spec, struct op *op)
{
	(void)spec;
	op->at = path_field(record, 0);
	op->mode = mode_field(record, 1);
}

static void read_symlink(const struct record *record, const struct spec *spec, struct op *op)
{
	(void)spec;
	op->at = path_field(record, 0);
	op->text = record->fields[1];
	if (op->text[0] == '\0' || strlen(op->text) >= PATH_MAX)
		fail("launch spec: symlink: \"%.100s\" is nothing a link can point to", op->text);
}

static void read_file(const struct record *record, const struct spec *spec, struct op *op)
{
	(void)spec;
	op->at = path_field(record, 0);
	op->missing = missing_field(record, 1);
	op->mode = mode_field(record, 2);
	op->text = record->fields[3];
}

static void read_answer(const struct record *record, const struct spec *spec, struct op *op)
{
	(void)spec;
	op->at = path_field(record, 0);
	op->missing = missing_field(record, 1);
	op->mode = mode_field(record, 2);
}

/* Decimal digits of a field index at `*text`, which is moved behind them. */
static void skip_index(const struct record *record, const char **text)
{
	unsigned value = 0;
	const char *start = *text;

	for (; **text >= '0' && **text <= '9' && value < MOST_FIELD; ++*text)
		value = value * 10 + (unsigned)(**text - '0');
	if (*text == start || value >= MOST_FIELD)
		fail("launch spec: %s: \"%.100s\" does not begin with the index of a field", record->name, start);
}

static void check_same(const struct record *record, const char *text)
{
	while (*text) {
		skip_index(record, &text);
		if (*text != '=')
			fail("launch spec: %s: \"%.100s\" is no index=value", record->name, text);
		text += strcspn(text, ":");
		text += *text == ':';
	}
}

static void check_keep(const struct record *record, const char *text)
{
	while (*text) {
		skip_index(record, &text);
		if (*text != ':' && *text != '\0')
			fail("launch spec: %s: \"%.100s\" is no list of indexes", record->name, text);
		text += *text == ':';
	}
}

static void read_records(const struct record *record, const struct spec *spec, struct op *op)
{
	static const char *const ways[] = { "absent", "replace", NULL };
	struct record_line *lines;

	(void)spec;
	op->at = path_field(record, 0);
	op->missing = missing_field(record, 1);
	op->mode = 0644;
	if ((record->count - 2) % 4 != 0)
		fail("launch spec: records: %u fields are not the right number", record->count);
	op->line_count = (record->count - 2) / 4;
	lines = allocate(op->line_count, sizeof *lines);
	op->lines = lines;
	for (unsigned index = 0; index < op->line_count; index++) {
		char **fields = record->fields + 2 + (size_t)index * 4;

		lines[index].line = fields[0];
		lines[index].replace = word_field(record, 3 + index * 4, ways) == 1;
		lines[index].same = fields[2];
		lines[index].keep = fields[3];
		check_same(record, fields[2]);
		check_keep(record, fields[3]);
		if (strchr(fields[0], '\n'))
			fail("launch spec: records: a line holds a line break");
	}
}

/* `count` fields from `first` on as a list of its own. */
static char **fields_of(const struct record *record, unsigned first, unsigned count)
{
	char **list = allocate(count + 1, sizeof *list);

	memcpy(list, record->fields + first, count * sizeof *list);
	return list;
}

static void read_fuse(const struct record *record, const struct spec *spec, struct op *op)
{
	static const char *const sides[] = { "host", "container", NULL };
	const unsigned fixed = 4;
	unsigned count;

	read_special(record, spec, op);
	op->inside = word_field(record, 2, sides) == 1;
	count = (unsigned)number_field(record, 3, 10, record->count - fixed);
	if (count == 0 || record->fields[fixed][0] == '\0')
		fail("launch spec: fuse: there is no program");
	op->words = fields_of(record, fixed, count);
	op->environment = fields_of(record, fixed + count, record->count - fixed - count);
}

static void read_readonly(const struct record *record, const struct spec *spec, struct op *op)
{
	(void)spec;
	op->at = path_field(record, 0);
}

static const struct {
	const char *name;
	enum op_kind kind;
	unsigned least, most;
	void (*read)(const struct record *, const struct spec *, struct op *);
} rows[] = {
	{ "squashfs", OP_SQUASHFS, 7, 9, read_squashfs },
	{ "ext3", OP_EXT3, 9, 9, read_ext3 },
	{ "directory", OP_DIRECTORY, 3, 3, read_directory },
	{ "memory", OP_MEMORY, 2, 2, read_memory },
	{ "overlay", OP_OVERLAY, 4, UINT_MAX, read_overlay },
	{ "layer-root", OP_LAYER_ROOT, 1, 1, read_layer_root },
	{ "underlay", OP_UNDERLAY, 1, 1, read_layer_root },
	{ "layer-bind", OP_LAYER_BIND, 5, 5, read_layer_bind },
	{ "bind", OP_BIND, 7, 7, read_bind },
	{ "tmpfs", OP_TMPFS, 4, 4, read_tmpfs },
	{ "proc", OP_PROC, 2, 2, read_special },
	{ "sysfs", OP_SYSFS, 2, 2, read_special },
	{ "devpts", OP_DEVPTS, 2, 2, read_special },
	{ "mqueue", OP_MQUEUE, 2, 2, read_special },
	{ "mkdir", OP_MKDIR, 2, 2, read_mkdir },
	{ "symlink", OP_SYMLINK, 2, 2, read_symlink },
	{ "file", OP_FILE, 4, 4, read_file },
	{ "records", OP_RECORDS, 2, UINT_MAX, read_records },
	{ "answer", OP_ANSWER, 3, 3, read_answer },
	{ "fuse", OP_FUSE, 5, UINT_MAX, read_fuse },
	{ "allow-setuid", OP_ALLOW_SETUID, 1, 1, read_readonly },
	{ "readonly", OP_READONLY, 1, 1, read_readonly },
};

static bool is_within(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	while (length > 0 && directory[length - 1] == '/')
		length--;
	return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Programs of the container begin to serve behind the last operation: a look at such a place would wait for ever. */
static void check_served(const struct record *record, const struct spec *spec, const struct op *op)
{
	for (unsigned index = 0; index < spec->op_count; index++) {
		const struct op *earlier = &spec->ops[index];

		if (op->at && earlier->kind == OP_FUSE && earlier->inside && is_within(op->at, earlier->at))
			fail("launch spec: %s: nobody serves %s yet", record->name, earlier->at);
	}
}

/* Layers and the root come first; places exist only when there is a root. */
static void check_order(const struct record *record, const struct spec *spec, const struct op *op)
{
	bool has_root = false;

	if (!spec->new_root && (makes_root(op) || makes_layer(op)))
		fail("launch spec: %s: the host's tree takes no layers", record->name);
	for (unsigned index = 0; index < spec->op_count; index++)
		has_root |= makes_root(&spec->ops[index]);
	if (spec->new_root && op->at && !has_root)
		fail("launch spec: %s: it comes before the root", record->name);
	if (has_root && (makes_root(op) || makes_layer(op)))
		fail("launch spec: %s: it comes behind the root", record->name);
}

bool read_operation(const struct record *record, struct spec *spec)
{
	for (unsigned index = 0; index < sizeof rows / sizeof *rows; index++) {
		struct op *op = &spec->ops[spec->op_count];

		if (strcmp(rows[index].name, record->name) != 0)
			continue;
		if (record->count < rows[index].least || record->count > rows[index].most)
			fail("launch spec: %s: %u fields are not the right number", record->name, record->count);
		op->kind = rows[index].kind;
		rows[index].read(record, spec, op);
		check_order(record, spec, op);
		check_served(record, spec, op);
		spec->op_count++;
		return true;
	}
	return false;
}
