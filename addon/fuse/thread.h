/* Starting threads. */
#ifndef SING_THREAD_H
#define SING_THREAD_H

#include <stdbool.h>

/* Starts a thread with a small stack that nobody waits for. False when the machine has none to give. */
bool thread_start(void *(*run)(void *), void *argument);

#endif
