/* The processes that stay beside the payload when there is a pid namespace. */
#ifndef STARTER_SUPERVISE_H
#define STARTER_SUPERVISE_H

#include "spec.h"

/*
 * Go on as process 1 of the pid namespace, when the spec has one. The process that came here stays behind: it hands on
 * signals and ends with the status of process 1.
 */
void enter_pid_namespace(const struct spec *spec, int argc, char **argv);

/* With `init`: go on as the payload, while process 1 stays, reaps orphans and ends with the payload's status. */
void leave_init_behind(const struct spec *spec, int argc, char **argv);

#endif
