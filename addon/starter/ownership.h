/* The owner, and the device, that a file is to have in an image, noted on the file itself. Errors are negative errnos. */
#ifndef STARTER_OWNERSHIP_H
#define STARTER_OWNERSHIP_H

#include <stdbool.h>
#include <sys/types.h>

struct ownership {
	uid_t uid;
	gid_t gid;
	char device; /* 'c', 'b', or 0: the file is what it is */
	unsigned major, minor;
	bool ownerless; /* the file has the owner that it is to have */
	bool noted;  /* there is a note */
};

/* What is noted of a file that is open as O_PATH and has this mode; without a note it is root's. */
struct ownership read_ownership(int file, mode_t mode);

/* A file that is root's and no device has no note. 0 too where the file system, or the kind of file, takes none. */
int write_ownership(int file, mode_t mode, const struct ownership *ownership);

#endif
