/* The files of a layer as members of its tar: what a layer cannot hold is left out, whiteouts are spelled as OCI has them. */
#ifndef SING_MEMBERS_H
#define SING_MEMBERS_H

#include <stdbool.h>

#include "squashfs/failure.h"
#include "tar.h"

struct sing_members {
	struct sing_tar tar;
	bool whiteouts;   /* device 0:0 and the attribute `opaque` of overlayfs hide what lower layers have */
	uint64_t entries; /* without the root */
	uint64_t bytes;   /* of files */
	uint64_t skipped; /* sockets, and names that mean whiteouts in a layer */
	char first_skipped[4096]; /* may be cut */
	struct sing_failure *failure;
	char path[];      /* of what is being added, relative to the root: room for SING_DEPTH_LIMIT names */
};

/* Zeroed but for room for the path. Freed with sing_members_destroy. */
struct sing_members *sing_members_create(struct sing_failure *failure);
void sing_members_destroy(struct sing_members *members);

/* Go down to a name, and back up by the length that is given back. A path that is too long is SING_NESTED. */
int sing_members_enter(struct sing_members *members, const char *name, size_t *before);
void sing_members_leave(struct sing_members *members, size_t before);

bool sing_members_is_whiteout(const struct sing_members *members, const struct sing_attributes *attributes);

/*
 * Add what the path is. `link` as in tar.h. Data of a regular file without link follows through sing_tar_data, unless it was
 * `skipped`. Returns 0, or -1 with the failure.
 */
int sing_members_add(struct sing_members *members, const struct sing_attributes *attributes, uint64_t size,
		     const char *link, bool *skipped);

/* Returns -1. */
int sing_members_fail(struct sing_members *members, int reason, const char *action);

#endif
