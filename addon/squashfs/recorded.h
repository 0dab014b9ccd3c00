/*
 * Owners of what cannot have attributes of users: symbolic links, pipes and sockets. A text, one line for each time that somebody
 * was made the owner:
 *
 *   INODE BIRTH_SECONDS BIRTH_NANOSECONDS UID GID
 *
 * Renaming changes neither number nor birth, and a number that is used again comes with another birth.
 */
#ifndef SING_RECORDED_H
#define SING_RECORDED_H

#include "record.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_recorded;

/* Lines that are no such thing are passed over. Returns 0 or ENOMEM. */
int sing_recorded_read(const char *text, size_t size, struct sing_recorded **out);
void sing_recorded_free(struct sing_recorded *recorded);

/* The last owner of the entry `name` of a directory, which is not followed. False when nobody said any; `recorded` may be NULL. */
bool sing_recorded_find(const struct sing_recorded *recorded, int directory, const char *name, struct sing_record *out);

#ifdef __cplusplus
}
#endif

#endif
