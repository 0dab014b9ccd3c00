/* The members of a tar archive, in all the ways in which they are written, one after the other. */
#ifndef SING_ARCHIVE_H
#define SING_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "feed.h"
#include "squashfs/writer.h"

struct sing_member {
	const char *path; /* as it is written there */
	const char *link; /* of a hard link: the path of the other name; else NULL */
	struct sing_attributes attributes;
	uint64_t size;
};

struct sing_archive;

/* The feed stays the caller's. NULL without memory. */
struct sing_archive *sing_archive_open(struct sing_feed *feed);

/*
 * The next member; what belongs to the one before is gone. Returns 1, 0 behind the last, or -1 with a reason. Then, and at the
 * end, the feed is at any place.
 */
int sing_archive_next(struct sing_archive *reader, struct sing_member *member, int *reason);

/* A piece of the data of a member; in front of it and behind the last are holes. Returns 1, 0 at the end, or -1. */
int sing_archive_data(struct sing_archive *reader, const void **data, size_t *size, uint64_t *offset, int *reason);

/* Extended attributes so far that squashfs has no place for. */
uint64_t sing_archive_left_out(const struct sing_archive *reader);

void sing_archive_close(struct sing_archive *reader);

#endif
