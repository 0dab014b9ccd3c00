/* Gives the names of the merged tree to the writer, directory by directory, sorted by byte values. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "merge.h"

static int by_name(const void *left, const void *right)
{
	const struct sing_node *a = *(struct sing_node *const *)left;
	const struct sing_node *b = *(struct sing_node *const *)right;
	int order = memcmp(a->name, b->name, a->length < b->length ? a->length : b->length);

	return order != 0 ? order : a->length - b->length;
}

/* The children that exist, sorted; the caller frees the list. */
static int sort_children(const struct sing_node *directory, struct sing_node ***list, size_t *count)
{
	*list = NULL;
	*count = 0;
	for (const struct sing_node *child = directory->child; child != NULL; child = child->sibling)
		*count += sing_node_exists(child);
	if (*count == 0)
		return 0;
	*list = calloc(*count, sizeof **list);
	if (*list == NULL)
		return ENOMEM;
	*count = 0;
	for (struct sing_node *child = directory->child; child != NULL; child = child->sibling)
		if (sing_node_exists(child))
			(*list)[(*count)++] = child;
	qsort(*list, *count, sizeof **list, by_name);
	return 0;
}

static int tie_directory(struct sing_merge *merge, const struct sing_node *node);

static int tie_name(struct sing_merge *merge, const struct sing_node *directory, struct sing_node *node)
{
	static const struct sing_attributes implied = { .mode = S_IFDIR | 0755 };
	int error = 0;

	if (node->inode == NULL)
		error = sing_writer_begin(merge->writer, &implied, &node->inode);
	if (error == 0)
		error = sing_writer_link(merge->writer, directory->inode, node->name, node->length, node->inode);
	if (error == 0 && S_ISDIR(node->inode->mode))
		error = tie_directory(merge, node);
	return error;
}

static int tie_directory(struct sing_merge *merge, const struct sing_node *directory)
{
	struct sing_node **children;
	size_t count;
	int error = sort_children(directory, &children, &count);

	for (size_t i = 0; error == 0 && i < count; i++)
		error = tie_name(merge, directory, children[i]);
	free(children);
	return error;
}

int sing_merge_tie(struct sing_merge *merge)
{
	merge->nodes.root->inode = sing_writer_root(merge->writer);
	return tie_directory(merge, merge->nodes.root);
}
