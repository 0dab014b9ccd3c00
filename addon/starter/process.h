/* The process itself: what it got from its caller, and what the payload gets. */
#ifndef STARTER_PROCESS_H
#define STARTER_PROCESS_H

#include "spec.h"

#include <signal.h>
#include <sys/resource.h>

/* What the starter changes about itself while it works, as it was. */
struct caller {
	mode_t umask;
	struct rlimit open_files;
	struct sigaction child;
	pid_t parent;
};

/* For processes that live beside the payload: nothing that is meant for the job in front of the terminal reaches them. */
void leave_job(void);

/* Close all descriptors above 2 but these, in any order, which get sorted. */
void close_all_but(int *kept, unsigned count);

/* Wait for a child. Its exit status, 128 + n when signal n ended it. */
int wait_for_child(pid_t child);

/* Make this process fit to work: standard descriptors occupied, limit of open files up, no umask. */
struct caller begin_work(void);

/* Give the payload its host name, working directory, umask, limits and descriptor flags. */
void settle(const struct spec *spec, const struct caller *caller);

/* Signal dispositions and the mask as the payload is to have them. */
void restore_signals(const struct caller *caller);

/* program.c: exec the first program that exists, or end with a sentence. */
_Noreturn void become(const struct spec *spec, const struct caller *caller);

#endif
