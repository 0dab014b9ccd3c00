/* What an instance has that other containers have not: nobody waits for it, and its process 1 outlives the payload. */
#ifndef STARTER_INSTANCE_H
#define STARTER_INSTANCE_H

#include "spec.h"

/*
 * Keep the caller's descriptors from the instance, and open what process 1 watches: in the pid namespace other processes
 * have no pids.
 */
void prepare_instance(const struct spec *spec);

/* Tell the engine the pid of process 1, and end: the instance has no process outside. */
_Noreturn void report_and_leave(pid_t child);

/* From here on no signal to process 1 is lost; become() undoes it for the payload. */
void hold_signals(void);

/* Process 1: reap, hand on signals, and end when it is asked to, or the job or an engine that has not finished is gone. */
_Noreturn void keep_instance(const struct spec *spec, pid_t payload, int argc, char **argv);

/*
 * Before the program with this number is tried. One that does not say itself that it runs is said to be tried; that it
 * could not be run is said by `fail`, and that it runs by the end of the report.
 */
void report_attempt(const struct spec *spec, unsigned program);

#endif
