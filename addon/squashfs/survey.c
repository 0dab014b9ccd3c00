/* Walks through the whole tree of an image, names and inodes only. */
#include "survey.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "failure.h"
#include "mark.h"
#include "part.h"
#include "record.h"
#include "tree.h"

struct survey {
	struct sing_image *image;
	sing_survey_visitor visit;
	void *user;
	char *path;
	size_t length;
	size_t room;
	unsigned depth;
	void *seen; /* directories: tree of struct sing_part */
};

static int note_attribute(void *user, const char *name, const void *value, size_t size)
{
	struct sing_surveyed *entry = user;

	if (strcmp(name, SING_CAPABILITY) == 0)
		entry->capable = true;
	if (sing_is_opaque_mark(name, value, size))
		entry->opaque = true;
	return 0;
}

static int describe(struct survey *survey, const sqfs_inode_generic_t *inode, struct sing_surveyed *entry)
{
	int error = sing_image_stat(survey->image, inode, &entry->stat);

	if (error == 0 && S_ISLNK(entry->stat.mode))
		error = sing_image_target(inode, &entry->target, &entry->target_length);
	if (error == 0 && (S_ISREG(entry->stat.mode) || S_ISDIR(entry->stat.mode)))
		error = sing_image_xattrs(survey->image, inode, note_attribute, entry);
	return error;
}

static int look(struct survey *survey, uint64_t place);

static int step_into(void *user, const char *name, uint64_t place)
{
	struct survey *survey = user;
	size_t before = survey->length;
	int size = snprintf(survey->path + before, survey->room - before, "%s%s", before == 0 ? "" : "/", name);
	int error;

	if ((size_t)size >= survey->room - before) {
		survey->path[before] = '\0';
		return ENAMETOOLONG;
	}
	survey->length += (size_t)size;
	error = look(survey, place);
	if (error != 0)
		return error; /* the path stays, for the message */
	survey->length = before;
	survey->path[before] = '\0';
	return 0;
}

static int look_below(struct survey *survey, const sqfs_inode_generic_t *inode, uint64_t place)
{
	int error = survey->depth == SING_DEPTH_LIMIT ? SING_NESTED : sing_part_meet(&survey->seen, (struct sing_part){ .place = place });

	if (error != 0)
		return error;
	survey->depth++;
	error = sing_image_list(survey->image, inode, step_into, survey);
	survey->depth--;
	return error;
}

static int look(struct survey *survey, uint64_t place)
{
	struct sing_surveyed entry = { .path = survey->path, .place = place };
	sqfs_inode_generic_t *inode;
	int error = sing_image_inode(survey->image, place, &inode);

	if (error != 0)
		return error;
	error = describe(survey, inode, &entry);
	if (error == 0)
		error = survey->visit(survey->user, &entry);
	if (error == 0 && S_ISDIR(entry.stat.mode))
		error = look_below(survey, inode, place);
	sqfs_free(inode);
	return error;
}

int sing_image_survey(struct sing_image *image, sing_survey_visitor visit, void *user, char *path, size_t room)
{
	struct survey survey = { .image = image, .visit = visit, .user = user, .path = path, .room = room };
	int error;

	path[0] = '\0';
	error = look(&survey, sing_image_super(image)->root_inode_ref);
	tdestroy(survey.seen, free);
	return error;
}
