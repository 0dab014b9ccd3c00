/* Follows paths inside an image: one name after the other, and links as if the image were the whole file system. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "failure.h"
#include "reader_internal.h"
#include "tree.h"

/* Not an error of anybody: ends a listing at the name that was looked for. */
enum { FOUND = 1 << 20 };

struct search {
	const char *name;
	size_t length;
	uint64_t place;
};

static int compare_name(void *user, const char *name, uint64_t place)
{
	struct search *search = user;

	if (strncmp(name, search->name, search->length) != 0 || name[search->length] != '\0')
		return 0;
	search->place = place;
	return FOUND;
}

static int find_name(struct sing_image *image, uint64_t directory, const char *name, size_t length, uint64_t *out)
{
	struct search search = { name, length, 0 };
	sqfs_inode_generic_t *inode;
	int error = sing_image_inode(image, directory, &inode);

	if (error != 0)
		return error;
	error = S_ISDIR(inode->base.mode) ? sing_image_list(image, inode, compare_name, &search) : SING_NOT_FOUND;
	sqfs_free(inode);
	if (error != FOUND)
		return error == 0 ? SING_NOT_FOUND : error;
	*out = search.place;
	return 0;
}

/* A walk along a path: the directories above, so that '..' finds back, and the rest of the path. */
struct trail {
	uint64_t places[SING_DEPTH_LIMIT];
	size_t depth; /* places in use, the last is where we are */
	char *rest;   /* owned; what links put in front of it makes it anew */
	unsigned links;
};

/* Replace the link by its target: the rest of the path becomes target/rest. */
static int expand(struct trail *trail, const sqfs_inode_generic_t *link, const char *rest)
{
	const char *target;
	size_t length;
	int error = sing_image_target(link, &target, &length);
	char *path;

	if (error != 0)
		return error;
	if (++trail->links > 40 || strlen(rest) > 16 * TARGET_LIMIT)
		return ELOOP;
	path = malloc(length + strlen(rest) + 2);
	if (path == NULL)
		return ENOMEM;
	memcpy(path, target, length);
	path[length] = '/';
	strcpy(path + length + 1, rest);
	if (path[0] == '/')
		trail->depth = 1;
	free(trail->rest);
	trail->rest = path;
	return 0;
}

static bool is_last(const char *rest)
{
	return rest[strspn(rest, "/")] == '\0';
}

/* One step of the walk. Returns 0 with `rest` moved on. */
static int step(struct sing_image *image, struct trail *trail, const char **rest, size_t length, bool follow)
{
	sqfs_inode_generic_t *inode;
	const char *after = *rest + length;
	uint64_t place;
	int error = find_name(image, trail->places[trail->depth - 1], *rest, length, &place);

	if (error == 0)
		error = sing_image_inode(image, place, &inode);
	if (error != 0)
		return error;
	/* a slash behind a link asks for what it points to */
	if (S_ISLNK(inode->base.mode) && (follow || *after != '\0')) {
		error = expand(trail, inode, after);
		*rest = trail->rest;
	} else if (!S_ISDIR(inode->base.mode) && !is_last(after)) {
		error = SING_NOT_FOUND;
	} else if (trail->depth == SING_DEPTH_LIMIT) {
		error = SING_NESTED;
	} else {
		trail->places[trail->depth++] = place;
		*rest = after;
	}
	sqfs_free(inode);
	return error;
}

static int follow_path(struct sing_image *image, struct trail *trail, bool follow)
{
	const char *rest = trail->rest;
	int error = 0;

	while (error == 0) {
		size_t length;

		rest += strspn(rest, "/");
		length = strcspn(rest, "/");
		if (length == 0)
			return 0;
		if (length == 1 && rest[0] == '.') {
			rest += 1;
		} else if (length == 2 && rest[0] == '.' && rest[1] == '.') {
			rest += 2;
			if (trail->depth > 1)
				trail->depth--;
		} else {
			error = step(image, trail, &rest, length, follow);
		}
	}
	return error;
}

int sing_image_find(struct sing_image *image, const char *path, bool follow, sqfs_inode_generic_t **out, uint64_t *place)
{
	struct trail *trail = malloc(sizeof *trail);
	char *rest = strdup(path);
	int error = ENOMEM;

	if (trail != NULL && rest != NULL) {
		*trail = (struct trail){ .depth = 1, .rest = rest };
		trail->places[0] = image->super.root_inode_ref;
		error = follow_path(image, trail, follow);
		rest = trail->rest;
	}
	if (error == 0) {
		if (place != NULL)
			*place = trail->places[trail->depth - 1];
		error = sing_image_inode(image, trail->places[trail->depth - 1], out);
	}
	free(rest);
	free(trail);
	return error;
}
