/* Processes of one job that use one container: who comes first makes it, the others enter it. */
#ifndef STARTER_SHARE_H
#define STARTER_SHARE_H

#include "join.h"
#include "spec.h"

/*
 * Find the container of the spec's group. True: it is there, open, to be entered. False: this process has to make it; the
 * others wait for its exec, or its end. Also false, with a warning, when the group has no safe place to meet.
 */
bool find_shared(const struct spec *spec, struct container *container);

/* Tell the others who made the container; does nothing for who did not. Before the new root is entered: it looks at /proc. */
void announce_shared(void);

#endif
