/* The processes that stay beside the payload when there is a pid namespace. */
#ifndef STARTER_SUPERVISE_H
#define STARTER_SUPERVISE_H

#include "process.h"
#include "spec.h"

/*
 * Go on as process 1 of the pid namespace, when the spec has one. The process that came here stays behind: it hands on
 * signals and ends with the status of process 1. That of an instance ends at once.
 */
void enter_pid_namespace(const struct spec *spec, int argc, char **argv);

/* The same in the pid namespace that the next child belongs to, as any process. */
void fork_watched(const struct spec *spec, int argc, char **argv);

/*
 * With `stay`: go on as a child. The process that came here stays outside, hands on signals, and ends with the child's
 * status when the servers that got the returned descriptor have ended too; it does not wait for what the payload leaves
 * running. Without `stay` the descriptor is -1.
 */
int stay_until_written(const struct spec *spec, int argc, char **argv);

/* All servers have been started. The descriptor is closed. */
void tell_root_is_made(int written);

/* With `init`: go on as the payload, while process 1 stays, reaps orphans and ends with the payload's status. */
void leave_init_behind(const struct spec *spec, int argc, char **argv);

/*
 * With `die-with-parent`: be killed when the process that started this one dies. New credentials, as of a new user namespace,
 * make the kernel forget it (prctl(2), PR_SET_PDEATHSIG), so it is asked for behind them.
 */
void follow_parent(const struct spec *spec, const struct caller *caller);

/* A list of processes shows what this one does, not the whole spec, which is gone afterwards. */
void rename_process(const char *name, int argc, char **argv);

#endif
