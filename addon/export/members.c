/* Layers mark what is gone by names: an empty file .wh.NAME, and .wh..wh..opq in a directory whose lower ones do not show. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "members.h"
#include "squashfs/tree.h"

enum { PATH_ROOM = (SING_DEPTH_LIMIT + 1) * (SING_NAME_LIMIT + 1) };

static const char prefix[] = ".wh.";
static const char opaque_name[] = ".wh..wh..opq";

struct sing_members *sing_members_create(struct sing_failure *failure)
{
	struct sing_members *members = calloc(1, sizeof *members + PATH_ROOM);

	if (members != NULL)
		members->failure = failure;
	return members;
}

void sing_members_destroy(struct sing_members *members)
{
	if (members != NULL)
		sing_tar_free(&members->tar);
	free(members);
}

int sing_members_fail(struct sing_members *members, int reason, const char *action)
{
	char path[sizeof members->failure->path];

	snprintf(path, sizeof path, "/%s", members->path);
	return sing_fail(members->failure, reason, action, path);
}

int sing_members_enter(struct sing_members *members, const char *name, size_t *before)
{
	size_t length = strlen(members->path);

	*before = length;
	/* also one more name of ours has room */
	if (length + strlen(name) + 2 * (SING_NAME_LIMIT + 1) > PATH_ROOM)
		return sing_members_fail(members, SING_NESTED, "pack");
	if (length > 0)
		members->path[length++] = '/';
	strcpy(members->path + length, name);
	return 0;
}

void sing_members_leave(struct sing_members *members, size_t before)
{
	members->path[before] = '\0';
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

bool sing_members_is_whiteout(const struct sing_members *members, const struct sing_attributes *attributes)
{
	return members->whiteouts && S_ISCHR(attributes->mode) && attributes->major == 0 && attributes->minor == 0;
}

static bool is_of_overlay(const struct sing_xattr *xattr)
{
	return strncmp(xattr->name, "trusted.overlay.", 16) == 0 || strncmp(xattr->name, "user.overlay.", 13) == 0;
}

static bool is_opaque(const struct sing_xattr *xattr)
{
	return is_of_overlay(xattr) && strcmp(strrchr(xattr->name, '.'), ".opaque") == 0 && xattr->size == 1 &&
	       *(const char *)xattr->value == 'y';
}

/* An empty file in the place of the last name of the path. */
static int add_mark(struct sing_members *members, const char *name)
{
	const struct sing_attributes attributes = { .mode = S_IFREG };
	const struct sing_member member = { .path = members->path, .attributes = &attributes };
	char *last = members->path + (name_of(members->path) - members->path);
	char kept[SING_NAME_LIMIT + 1];
	int error;

	snprintf(kept, sizeof kept, "%s", last);
	sprintf(last, "%s%s", name, name == prefix ? kept : "");
	error = sing_tar_member(&members->tar, &member);
	strcpy(last, kept);
	return error;
}

static int add_opaque_mark(struct sing_members *members)
{
	size_t before;
	int error;

	if (sing_members_enter(members, "", &before) != 0)
		return SING_NESTED;
	error = add_mark(members, opaque_name);
	sing_members_leave(members, before);
	return error;
}

/* The attributes without those of overlayfs. */
static int add_without_overlay(struct sing_members *members, struct sing_member *member)
{
	struct sing_attributes attributes = *member->attributes;
	struct sing_xattr *kept = calloc(attributes.xattr_count, sizeof *kept);
	bool opaque = false;
	size_t count = 0;
	int error;

	if (kept == NULL)
		return ENOMEM;
	for (size_t i = 0; i < attributes.xattr_count; i++) {
		opaque = opaque || is_opaque(&attributes.xattrs[i]);
		if (!is_of_overlay(&attributes.xattrs[i]))
			kept[count++] = attributes.xattrs[i];
	}
	attributes.xattrs = kept;
	attributes.xattr_count = count;
	member->attributes = &attributes;
	error = sing_tar_member(&members->tar, member);
	free(kept);
	return error == 0 && opaque && S_ISDIR(attributes.mode) ? add_opaque_mark(members) : error;
}

static void skip(struct sing_members *members)
{
	if (members->skipped++ == 0)
		snprintf(members->first_skipped, sizeof members->first_skipped, "/%s", members->path);
}

int sing_members_add(struct sing_members *members, const struct sing_attributes *attributes, uint64_t size,
		     const char *link, bool *skipped)
{
	struct sing_member member = { .path = members->path, .attributes = attributes, .size = size, .link = link };
	int error;

	*skipped = S_ISSOCK(attributes->mode) || strncmp(name_of(members->path), prefix, sizeof prefix - 1) == 0;
	if (*skipped) {
		skip(members);
		return 0;
	}
	if (members->path[0] != '\0')
		members->entries++;
	members->bytes += link == NULL && S_ISREG(attributes->mode) ? size : 0;
	if (sing_members_is_whiteout(members, attributes))
		error = add_mark(members, prefix);
	else if (members->whiteouts && attributes->xattr_count > 0)
		error = add_without_overlay(members, &member);
	else
		error = sing_tar_member(&members->tar, &member);
	return error != 0 ? sing_members_fail(members, error, "pack") : 0;
}
