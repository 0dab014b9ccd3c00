/* The path of what is being looked at on the host, which grows with it: for messages and excludes. */
#ifndef SING_TRAIL_H
#define SING_TRAIL_H

#include <stddef.h>

struct sing_trail {
	char *path; /* of the owner, who frees it */
	size_t length;
	size_t room;
};

/* Begin at a directory, without the slashes at its end. ENOMEM. */
int sing_trail_begin(struct sing_trail *trail, const char *root);

/* Put a name behind `length`, which stays. ENOMEM. */
int sing_trail_name(struct sing_trail *trail, const char *name);

#endif
