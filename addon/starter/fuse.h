/* FUSE file systems that the user asks for: the programs that serve them, of the host or of the container. */
#ifndef STARTER_FUSE_H
#define STARTER_FUSE_H

#include "inputs.h"
#include "process.h"

/* Open /dev/fuse for each, and get the host's programs ready, outside of the mount namespace. */
void start_fuse_programs(const struct spec *spec, struct input *inputs);

/* In the new root: start the programs of the container, and wait until they serve. */
void start_inner_programs(const struct spec *spec, struct input *inputs, const struct caller *caller);

#endif
