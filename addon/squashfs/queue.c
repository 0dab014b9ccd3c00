/* The queue and the threads at its ends. */
#include <signal.h>

#include "queue.h"

void sing_queue_open(struct sing_queue *queue)
{
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	queue->first = 0;
	queue->count = 0;
	queue->closed = false;
}

bool sing_queue_put(struct sing_queue *queue, void *thing)
{
	bool open;

	pthread_mutex_lock(&queue->lock);
	while (queue->count == SING_QUEUE_SLOTS && !queue->closed)
		pthread_cond_wait(&queue->changed, &queue->lock);
	open = !queue->closed;
	if (open) {
		queue->slots[(queue->first + queue->count) % SING_QUEUE_SLOTS] = thing;
		queue->count++;
		pthread_cond_broadcast(&queue->changed);
	}
	pthread_mutex_unlock(&queue->lock);
	return open;
}

void *sing_queue_take(struct sing_queue *queue)
{
	void *thing = NULL;

	pthread_mutex_lock(&queue->lock);
	while (queue->count == 0 && !queue->closed)
		pthread_cond_wait(&queue->changed, &queue->lock);
	if (queue->count > 0) {
		thing = queue->slots[queue->first];
		queue->first = (queue->first + 1) % SING_QUEUE_SLOTS;
		queue->count--;
		pthread_cond_broadcast(&queue->changed);
	}
	pthread_mutex_unlock(&queue->lock);
	return thing;
}

void sing_queue_close(struct sing_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->closed = true;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

void sing_queue_free(struct sing_queue *queue)
{
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
}

int sing_thread_start(pthread_t *thread, void *(*work)(void *), void *user)
{
	sigset_t all;
	sigset_t before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, NULL, work, user);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}
