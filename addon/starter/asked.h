/* The system calls that are performed for others. */
#ifndef STARTER_ASKED_H
#define STARTER_ASKED_H

#include "asker.h"

/* Answers beside 0 and negative errnos: the kernel shall perform the call as it is. */
enum { GO_ON = 1 };

/* Whether owners are noted, because they cannot be had. Before the first call. */
void note_owners(bool noted);

/* Perform the call that it waits for, as far as one who has one id only can, and note the rest. */
int perform_call(const struct asker *asker, const struct seccomp_data *call);

#endif
