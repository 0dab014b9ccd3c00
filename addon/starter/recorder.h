/* The process that notes what owners and devices were asked for: filter `record`. */
#ifndef STARTER_RECORDER_H
#define STARTER_RECORDER_H

#include "spec.h"

/* With that filter: start it. In the user namespace, and outside of the mount namespace, which it must not keep alive. */
void start_recorder(const struct spec *spec, int argc, char **argv);

/* Install the filter and give the process its end. What it cannot note is answered as by the filter `fakeroot`, with a warning. */
void install_recording_filter(void);

/* recording.c: answer the calls that are heard there, in threads, until nobody is left who could make one. */
_Noreturn void record_calls(int listener);

#endif
