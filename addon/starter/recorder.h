/* The process that notes what owners and devices were asked for: filters `record` and `record-devices`. */
#ifndef STARTER_RECORDER_H
#define STARTER_RECORDER_H

#include "spec.h"

/* With such a filter: start it. In the user namespace, and outside of the mount namespace, which it must not keep alive. */
void start_recorder(const struct spec *spec, int argc, char **argv);

/* Install the filter and give the process its end. Where it cannot note anything calls are answered 0, with a warning. */
void install_recording_filter(enum filter filter);

/* recording.c: answer the calls that are heard there, in threads, until nobody is left who could make one. */
_Noreturn void record_calls(int listener);

#endif
