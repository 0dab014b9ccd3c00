/* There are few of them: lists will do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "capture.h"
#include "squashfs/path.h"

enum { FILE_LIMIT = 1024 * 1024, ALL_LIMIT = 16 * 1024 * 1024 };

/* Whether a path is the prefix or below it, whatever the slashes. */
static bool is_below(const char *prefix, const char *path)
{
	for (;;) {
		size_t wanted = sing_path_next(&prefix);
		size_t length = sing_path_next(&path);

		if (wanted == 0)
			return true;
		if (wanted != length || memcmp(prefix, path, length) != 0)
			return false;
		prefix += length;
		path += length;
	}
}

int sing_capture_begin(struct sing_capture *capture, const char *path, uint64_t size, struct sing_inode *inode,
		       struct sing_captured **out)
{
	bool wanted = false;

	*out = NULL;
	for (size_t i = 0; i < capture->path_count; i++)
		wanted = wanted || is_below(capture->paths[i], path);
	if (!wanted || size > FILE_LIMIT || capture->bytes + size > ALL_LIMIT)
		return 0;
	*out = calloc(1, sizeof **out);
	if (*out == NULL)
		return ENOMEM;
	(*out)->inode = inode;
	(*out)->size = (size_t)size;
	(*out)->next = capture->first;
	capture->first = *out;
	capture->bytes += (size_t)size;
	/* holes are zeros */
	(*out)->data = calloc(1, (size_t)size + 1);
	return (*out)->data == NULL ? ENOMEM : 0;
}

static int note_path(struct sing_capture *capture, const struct sing_node *node)
{
	for (struct sing_captured *captured = capture->first; captured != NULL; captured = captured->next) {
		if (captured->inode != node->inode || captured->path != NULL)
			continue;
		captured->path = sing_node_path(node);
		return captured->path == NULL ? ENOMEM : 0;
	}
	return 0;
}

static int note_paths(struct sing_capture *capture, const struct sing_node *node)
{
	int error = 0;

	if (node->inode == NULL)
		return 0;
	if (!S_ISDIR(node->inode->mode))
		return note_path(capture, node);
	for (const struct sing_node *child = node->child; error == 0 && child != NULL; child = child->sibling)
		error = note_paths(capture, child);
	return error;
}

int sing_capture_end(struct sing_capture *capture, const struct sing_merge *merge)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < capture->path_count; i++) {
		const struct sing_node *node = sing_merge_find(merge, capture->paths[i]);

		if (node != NULL)
			error = note_paths(capture, node);
	}
	return error;
}

void sing_capture_free(struct sing_capture *capture)
{
	while (capture->first != NULL) {
		struct sing_captured *next = capture->first->next;

		free(capture->first->data);
		free(capture->first->path);
		free(capture->first);
		capture->first = next;
	}
}
