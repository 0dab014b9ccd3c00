/* The stop between the namespaces and everything else, where the engine prepares them from outside. */
#ifndef STARTER_SYNC_H
#define STARTER_SYNC_H

#include "spec.h"

/*
 * With `sync`: tell that the namespaces exist and wait for the engine's answer, a text closed by a NUL byte. Without one
 * there will be no container: the engine has said why, or is gone.
 */
void await_answer(const struct spec *spec);

/* The text of the answer; empty without one. */
const char *answer_text(void);

#endif
