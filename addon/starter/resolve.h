/* Finds places inside the root: docs/launch-spec.md, "Rules". No path is ever joined to a path of the host. */
#ifndef STARTER_RESOLVE_H
#define STARTER_RESOLVE_H

#include "stage.h"

#include <limits.h>

struct place {
	int fd;        /* O_PATH; -1 when there is nothing */
	int parent;    /* O_PATH, the directory that holds it; -1 for the root itself */
	char name[NAME_MAX + 1];
	bool directory;
};

/* What to make at a place where nothing is. */
enum make { MAKE_NOTHING, MAKE_DIRECTORY, MAKE_FILE };

enum found { FOUND, ABSENT, REFUSED };

/*
 * Resolve `at` in the stage's root and make what is missing. ABSENT (only for MAKE_NOTHING) and REFUSED leave the place
 * empty; REFUSED leaves a refusal. A place that was FOUND is for the caller to close.
 */
enum found find_place(const struct stage *stage, const char *at, enum make make, mode_t mode, struct place *place);

/*
 * The same for the directory that holds the last name of `at`, which is not followed when it is a link: `place` gets
 * the parent (made when missing) and the name; its fd stays -1. REFUSED for a path without a last name.
 */
enum found find_parent(const struct stage *stage, const char *at, struct place *place);

/* What of a path is missing: the directory that is there, relative to the root and free of links, and the rest. */
struct gap {
	char directory[PATH_MAX];
	char rest[PATH_MAX * 2];
};

/* False when nothing is missing, and when the place cannot be had: performing the operation tells why. */
bool find_gap(const struct stage *stage, const char *at, struct gap *gap);

/* The mount that now lies on top of a place. Returns an O_PATH descriptor, or -1 with errno. */
int open_top(const struct place *place);

void close_place(struct place *place);
#define AUTO_PLACE __attribute__((cleanup(close_place)))

/* Whether a mount is the root itself, or a piece of the image that the root is made of. */
bool is_of_image(const struct stage *stage, uint64_t mount);

/* The id of the mount that an O_PATH descriptor lies on; 0 when the kernel does not tell. */
uint64_t mount_of(int fd);

#endif
