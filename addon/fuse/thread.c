/* Threads that live as long as the process. */
#include <pthread.h>

#include "thread.h"

/* Room for the deepest decompressor and the largest of our own frames, several times over. */
enum { STACK_SIZE = 256 * 1024 };

bool thread_start(void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	bool started;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	started = pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0 &&
		  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
		  pthread_create(&thread, &attributes, run, argument) == 0;
	pthread_attr_destroy(&attributes);
	return started;
}
