/*
 * One thread for each call that is being performed, because one can wait for another: on a FUSE file system, whose server
 * makes such calls itself. Threads stay and wait for the next call.
 */
#include "recorder.h"

#include "asked.h"
#include "fail.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_THREADS = 256, STACK_SIZE = 128 * 1024 };

/* Since 6.6: who asked runs next on the same processor. Older headers do not have it. */
#define SET_FLAGS SECCOMP_IOW(4, __u64)
enum { SYNC_WAKE_UP = 1 };

static int calls = -1;
static struct seccomp_notif_sizes sizes;
static atomic_int idle, threads;

static void *allocate(size_t least, size_t wanted)
{
	void *memory = calloc(1, least > wanted ? least : wanted);

	if (!memory)
		abort();
	return memory;
}

static void answer(const struct seccomp_notif *notice, struct seccomp_notif_resp *response)
{
	struct asker asker;
	int result = open_asker(calls, notice, &asker);

	if (result == 0)
		result = has_our_ids(&asker) ? perform_call(&asker, &notice->data) : GO_ON;
	close_asker(&asker);
	*response = (struct seccomp_notif_resp){ .id = notice->id };
	if (result == GO_ON)
		response->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else
		response->error = result;
	/* ENOENT: it is gone, or a signal came, and it asks again. */
	ioctl(calls, SECCOMP_IOCTL_NOTIF_SEND, response);
}

static void start_thread(void);

static void *be_thread(void *nothing)
{
	struct seccomp_notif *notice = allocate(sizeof *notice, sizes.seccomp_notif);
	struct seccomp_notif_resp *response = allocate(sizeof *response, sizes.seccomp_notif_resp);

	if (unshare(CLONE_FS) != 0)
		abort();
	for (;;) {
		memset(notice, 0, sizes.seccomp_notif);
		if (ioctl(calls, SECCOMP_IOCTL_NOTIF_RECV, notice) != 0) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			return nothing;
		}
		if (atomic_fetch_sub(&idle, 1) == 1)
			start_thread();
		answer(notice, response);
		atomic_fetch_add(&idle, 1);
	}
}

/* Without one more thread calls wait for those that are there. */
static void start_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	if (atomic_fetch_add(&threads, 1) >= MOST_THREADS)
		return;
	atomic_fetch_add(&idle, 1);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, be_thread, NULL) != 0) {
		atomic_fetch_sub(&idle, 1);
		atomic_fetch_sub(&threads, 1);
	}
	pthread_attr_destroy(&attributes);
}

void record_calls(int listener)
{
	struct pollfd users = { .fd = listener };

	calls = listener;
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0)
		_exit(STATUS_FATAL);
	ioctl(listener, SET_FLAGS, SYNC_WAKE_UP);
	start_thread();
	/* The end of the last process with the filter. */
	while (poll(&users, 1, -1) < 0 || !(users.revents & POLLHUP))
		;
	_exit(0);
}
