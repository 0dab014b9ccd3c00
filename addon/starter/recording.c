/*
 * One thread waits for calls and performs them. A call that takes long, as on a FUSE file system whose server makes such calls itself,
 * must not keep the others waiting: a timer then has another thread take its place, and when both are free one ends. They are no
 * more than needed, because the kernel wakes all that wait for a call.
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
#include <sys/timerfd.h>
#include <unistd.h>

enum { MOST_THREADS = 256, STACK_SIZE = 128 * 1024, LONG = 5 * 1000 * 1000 };

/* Since 6.6: who asked runs next on the same processor. Older headers do not have it. */
#define SET_FLAGS SECCOMP_IOW(4, __u64)
enum { SYNC_WAKE_UP = 1 };

static int calls = -1, timer = -1;
static struct seccomp_notif_sizes sizes;
static atomic_int waiting, threads;

static void *allocate(size_t least, size_t wanted)
{
	void *memory = calloc(1, least > wanted ? least : wanted);

	if (!memory)
		abort();
	return memory;
}

/* In so many nanoseconds, or never. */
static void set_timer(long nanoseconds)
{
	const struct itimerspec once = { .it_value.tv_nsec = nanoseconds };

	timerfd_settime(timer, 0, &once, NULL);
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

/* False when the kernel has no more of them. */
static bool hear(struct seccomp_notif *notice)
{
	do
		memset(notice, 0, sizes.seccomp_notif);
	while (ioctl(calls, SECCOMP_IOCTL_NOTIF_RECV, notice) != 0 && (errno == EINTR || errno == ENOENT));
	return notice->id != 0;
}

static void *be_thread(void *nothing)
{
	struct seccomp_notif *notice = allocate(sizeof *notice, sizes.seccomp_notif);
	struct seccomp_notif_resp *response = allocate(sizeof *response, sizes.seccomp_notif_resp);

	if (unshare(CLONE_FS) != 0)
		abort();
	while (hear(notice)) {
		set_timer(LONG);
		atomic_fetch_sub(&waiting, 1);
		answer(notice, response);
		set_timer(0);
		if (atomic_fetch_add(&waiting, 1) > 0)
			break;
	}
	free(notice);
	free(response);
	atomic_fetch_sub(&waiting, 1);
	atomic_fetch_sub(&threads, 1);
	return nothing;
}

/* Without one more thread calls wait for those that are there. */
static void start_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	if (atomic_load(&threads) >= MOST_THREADS)
		return;
	atomic_fetch_add(&threads, 1);
	atomic_fetch_add(&waiting, 1);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, be_thread, NULL) != 0) {
		atomic_fetch_sub(&waiting, 1);
		atomic_fetch_sub(&threads, 1);
	}
	pthread_attr_destroy(&attributes);
}

/* The timer has run out: who set it last is still at it. */
static void replace_thread(void)
{
	uint64_t times;

	if (read(timer, &times, sizeof times) > 0 && atomic_load(&waiting) <= 0)
		start_thread();
}

void record_calls(int listener)
{
	struct pollfd watched[] = { { .fd = listener }, { .events = POLLIN } };

	calls = listener;
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer < 0 || syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0)
		_exit(STATUS_FATAL);
	watched[1].fd = timer;
	ioctl(listener, SET_FLAGS, SYNC_WAKE_UP);
	start_thread();
	/* The end of the last process with the filter. */
	while (poll(watched, 2, -1) < 0 || !(watched[0].revents & POLLHUP))
		replace_thread();
	_exit(0);
}
