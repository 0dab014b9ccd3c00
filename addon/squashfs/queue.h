/* A short queue between threads: who puts waits while it is full, who takes waits while it is empty. */
#ifndef SING_QUEUE_H
#define SING_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SING_QUEUE_SLOTS = 4 };

struct sing_queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void *slots[SING_QUEUE_SLOTS];
	size_t first;
	size_t count;
	bool closed;
};

void sing_queue_open(struct sing_queue *queue);

/* False, with the thing left to the caller, when the queue is closed. */
bool sing_queue_put(struct sing_queue *queue, void *thing);

/* NULL when the queue is closed and empty. */
void *sing_queue_take(struct sing_queue *queue);

/* Nothing more is put. Whoever waits goes on. */
void sing_queue_close(struct sing_queue *queue);

/* After all threads have let go of it, and empty. */
void sing_queue_free(struct sing_queue *queue);

/* Start a thread that gets no signals: they are for those who know what to do with them. Returns 0 or an errno. */
int sing_thread_start(pthread_t *thread, void *(*work)(void *), void *user);

#ifdef __cplusplus
}
#endif

#endif
