/* Everything that an image holds, in one walk: each name with what stat, readlink and the attributes would tell of it. */
#ifndef SING_SURVEY_H
#define SING_SURVEY_H

#include "reader.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_surveyed {
	const char *path; /* without a slash at its beginning; empty for the root */
	struct sing_stat stat;
	uint64_t place; /* of the inode */
	const char *target; /* of a link, not terminated; NULL for everything else */
	size_t target_length;
	bool capable; /* has file capabilities */
	bool opaque;  /* a directory that hides those of layers below */
};

/* What it points to is gone when the call returns. Anything but 0 ends the survey and is its result. */
typedef int (*sing_survey_visitor)(void *user, const struct sing_surveyed *entry);

/*
 * Visit the root and everything below it, a directory before what it holds. Returns 0 or a reason; `path`, of `room` bytes, says
 * where it was then. SING_NESTED for a directory that comes twice.
 */
int sing_image_survey(struct sing_image *image, sing_survey_visitor visit, void *user, char *path, size_t room);

#ifdef __cplusplus
}
#endif

#endif
