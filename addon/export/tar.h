/* Writes a tar archive: ustar headers, and extended headers (pax, POSIX.1-2001) for what those have no room for. */
#ifndef SING_TAR_H
#define SING_TAR_H

#include <stddef.h>
#include <stdint.h>

#include "squashfs/writer.h"

/* Takes the bytes of the archive in order. Anything but 0 ends the work and is its result. */
typedef int (*sing_tar_sink)(void *user, const void *bytes, size_t size);

struct sing_tar {
	sing_tar_sink sink;
	void *user;
	uint64_t missing; /* bytes that the member begun last still gets */
	uint64_t padding; /* zeros behind it */
	char *records;    /* memory for the next extended header */
	size_t room;
};

struct sing_member {
	const char *path; /* relative; empty for the root */
	const struct sing_attributes *attributes; /* anything but a socket, for which tar has no type */
	uint64_t size;    /* of a regular file, whose data follows */
	const char *link; /* one more name of this earlier path, without data; else NULL */
};

/* All return 0 or a reason as in failure.h, or what the sink returned. */

int sing_tar_member(struct sing_tar *tar, const struct sing_member *member);

/* Data of the last member; zeros when `bytes` is NULL. More than its size is SING_CHANGED. */
int sing_tar_data(struct sing_tar *tar, const void *bytes, uint64_t size);

/* The last member is complete, and so is the archive. */
int sing_tar_end(struct sing_tar *tar);

void sing_tar_free(struct sing_tar *tar);

#endif
