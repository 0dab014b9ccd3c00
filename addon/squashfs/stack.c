/* Merges directories of layers, one level at a time. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "failure.h"
#include "marks.h"
#include "stack.h"

static int by_name(const void *left, const void *right)
{
	const struct sing_stack_name *a = left;
	const struct sing_stack_name *b = right;
	int order = strcmp(a->text, b->text);

	return order != 0 ? order : sing_part_order(&a->part, &b->part);
}

static int read_part(struct sing_stack *stack, struct sing_part part, sqfs_inode_generic_t **inode, struct sing_stat *stat)
{
	struct sing_image *image = stack->images[part.layer];
	int error = sing_image_inode(image, part.place, inode);

	if (error != 0)
		return error;
	error = sing_image_stat(image, *inode, stat);
	if (error == 0)
		return 0;
	sqfs_free(*inode);
	*inode = NULL;
	return error;
}

static int add_part(struct sing_stack *stack, struct sing_merged *merged, struct sing_part part)
{
	struct sing_part *parts = reallocarray(merged->parts, merged->count + 1, sizeof *parts);
	int error = parts == NULL ? ENOMEM : sing_part_meet(&stack->met, part);

	if (parts != NULL)
		merged->parts = parts;
	if (error == 0)
		merged->parts[merged->count++] = part;
	return error;
}

static int find_root(struct sing_stack *stack, unsigned layer, const char *path, struct sing_part *out)
{
	struct sing_image *image = stack->images[layer];
	sqfs_inode_generic_t *inode;
	int error;

	*out = (struct sing_part){ layer, sing_image_super(image)->root_inode_ref };
	if (stack->count > 1)
		return 0;
	error = sing_image_find(image, path, true, &inode, &out->place);
	if (error == 0)
		sqfs_free(inode);
	return error;
}

int sing_stack_root(struct sing_stack *stack, const char *path, struct sing_found *out)
{
	int error = 0;

	*out = (struct sing_found){ 0 };
	for (unsigned layer = 0; error == 0 && layer < stack->count; layer++) {
		struct sing_part part;

		error = find_root(stack, layer, path, &part);
		if (error == 0 && layer == 0)
			out->part = part;
		if (error == 0)
			error = add_part(stack, &out->merged, part);
	}
	if (error == 0 && stack->count > 0)
		error = read_part(stack, out->part, &out->inode, &out->stat);
	if (error == 0 && out->inode != NULL && !S_ISDIR(out->stat.mode))
		error = ENOTDIR;
	if (error != 0)
		sing_found_free(out);
	return error;
}

struct gathering {
	struct sing_stack_names *names;
	unsigned layer;
};

static int gather(void *user, const char *name, uint64_t place)
{
	struct gathering *gathering = user;
	struct sing_stack_names *names = gathering->names;
	char *text = strdup(name);

	if (text != NULL && names->count == names->room) {
		size_t room = names->room == 0 ? 32 : names->room * 2;
		struct sing_stack_name *list = reallocarray(names->list, room, sizeof *list);

		if (list == NULL) {
			free(text);
			return ENOMEM;
		}
		names->list = list;
		names->room = room;
	}
	if (text == NULL)
		return ENOMEM;
	names->list[names->count++] = (struct sing_stack_name){ text, { gathering->layer, place } };
	return 0;
}

static int list_part(struct sing_stack *stack, struct sing_part part, struct sing_stack_names *names)
{
	struct sing_image *image = stack->images[part.layer];
	struct gathering gathering = { names, part.layer };
	sqfs_inode_generic_t *inode;
	int error = sing_image_inode(image, part.place, &inode);

	if (error != 0)
		return error;
	error = sing_image_list(image, inode, gather, &gathering);
	sqfs_free(inode);
	return error;
}

int sing_stack_list(struct sing_stack *stack, const struct sing_merged *directory, struct sing_stack_names *out)
{
	int error = 0;

	*out = (struct sing_stack_names){ 0 };
	for (size_t i = 0; error == 0 && i < directory->count; i++)
		error = list_part(stack, directory->parts[i], out);
	/* that of one layer is sorted as it is, as a rule */
	if (error == 0 && out->count > 0)
		qsort(out->list, out->count, sizeof *out->list, by_name);
	if (error != 0)
		sing_stack_names_free(out);
	return error;
}

static bool is_device_zero(const struct sing_stat *stat)
{
	return S_ISCHR(stat->mode) && stat->major == 0 && stat->minor == 0;
}

static size_t end_of(const struct sing_stack_names *names, size_t at)
{
	size_t end = at + 1;

	while (end < names->count && strcmp(names->list[end].text, names->list[at].text) == 0)
		end++;
	return end;
}

void sing_stack_pass(const struct sing_stack_names *names, size_t *at)
{
	*at = end_of(names, *at);
}

/* The directories of this name in the layers below, as far as they show through. */
static int merge(struct sing_stack *stack, const struct sing_stack_name *name, const struct sing_stack_name *end,
		 struct sing_found *found)
{
	bool opaque = false;
	int error = add_part(stack, &found->merged, found->part);

	if (error == 0 && name != end)
		error = sing_image_opaque(stack->images[found->part.layer], found->inode, &opaque);
	for (; error == 0 && name != end && !opaque; name++) {
		sqfs_inode_generic_t *inode = NULL;
		struct sing_stat stat;

		/* the same name twice in one layer: the first holds */
		if (name->part.layer == found->merged.parts[found->merged.count - 1].layer)
			continue;
		error = read_part(stack, name->part, &inode, &stat);
		if (error == 0 && S_ISDIR(stat.mode))
			error = add_part(stack, &found->merged, name->part);
		if (error == 0 && S_ISDIR(stat.mode))
			error = sing_image_opaque(stack->images[name->part.layer], inode, &opaque);
		opaque = opaque || (error == 0 && !S_ISDIR(stat.mode));
		sqfs_free(inode);
	}
	return error;
}

int sing_stack_find(struct sing_stack *stack, const struct sing_stack_names *names, size_t *at, struct sing_found *out)
{
	const struct sing_stack_name *name = &names->list[*at];
	int error;

	*at = end_of(names, *at);
	*out = (struct sing_found){ .part = name->part };
	error = read_part(stack, out->part, &out->inode, &out->stat);
	if (error == 0 && !stack->raw && is_device_zero(&out->stat)) {
		sing_found_free(out);
		return 0;
	}
	if (error == 0 && S_ISDIR(out->stat.mode))
		error = merge(stack, name + 1, &names->list[*at], out);
	if (error != 0)
		sing_found_free(out);
	return error;
}

void sing_found_free(struct sing_found *found)
{
	sqfs_free(found->inode);
	free(found->merged.parts);
	found->inode = NULL;
	found->merged = (struct sing_merged){ 0 };
}

void sing_stack_names_free(struct sing_stack_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i].text);
	free(names->list);
	*names = (struct sing_stack_names){ 0 };
}

void sing_stack_end(struct sing_stack *stack)
{
	tdestroy(stack->met, free);
	stack->met = NULL;
}
