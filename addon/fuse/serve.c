/*
 * sing-squashfs: serves one squashfs image to one FUSE mount that somebody else makes, and ends with the mount.
 *
 * It gets descriptors, not paths, and lives outside of the container that uses the mount: in there it would keep the
 * mount alive. docs/launch-spec.md tells its side of the story.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../squashfs/failure.h"
#include "../squashfs/plain.h"
#include "image.h"
#include "ops.h"
#include "rights.h"
#include "thread.h"

enum { THREADS_MIN = 2, THREADS_MAX = 8 };

struct arguments {
	int fuse;
	int image;
	int key; /* SING_NO_KEY: the image is not encrypted */
	int go; /* -1: the mount is there already */
	pid_t parent; /* 0: nobody whose end is ours */
	uint64_t offset;
	uint64_t size;
	bool owned;
	uid_t uid;
	gid_t gid;
	bool stacked;
	bool noted;
	bool debug;
};

struct server {
	struct fuse_session *session;
	unsigned threads;
	atomic_uint running;
	atomic_uint idle;
};

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "sing-squashfs: %s: %s\n", what, why);
	exit(1);
}

/* A whole number up to `max`, ended by `end`; `rest` (may be NULL) is set behind it. */
static uint64_t number(const char *name, const char *text, uint64_t max, char end, const char **rest)
{
	char *stop;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &stop, 10);
	if (*text < '0' || *text > '9' || *stop != end || errno != 0 || value > max)
		fail(name, "not a number that makes sense");
	if (rest != NULL)
		*rest = stop + 1;
	return value;
}

static void read_owner(const char *text, struct arguments *arguments)
{
	const char *group;

	arguments->owned = true;
	arguments->uid = (uid_t)number("--owner", text, UINT32_MAX - 1, ':', &group);
	arguments->gid = (gid_t)number("--owner", group, UINT32_MAX - 1, '\0', NULL);
}

static struct arguments read_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "fuse", required_argument, NULL, 'f' },   { "image", required_argument, NULL, 'i' },
		{ "offset", required_argument, NULL, 'o' }, { "size", required_argument, NULL, 's' },
		{ "key", required_argument, NULL, 'k' },    { "owner", required_argument, NULL, 'u' },
		{ "go", required_argument, NULL, 'g' },
		{ "parent", required_argument, NULL, 'p' }, { "stacked", no_argument, NULL, 'l' },
		{ "noted", no_argument, NULL, 'n' },        { "debug", no_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	struct arguments arguments = { .fuse = -1, .image = -1, .key = SING_NO_KEY, .go = -1 };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'f':
			arguments.fuse = (int)number("--fuse", optarg, INT_MAX, '\0', NULL);
			break;
		case 'i':
			arguments.image = (int)number("--image", optarg, INT_MAX, '\0', NULL);
			break;
		case 'k':
			arguments.key = (int)number("--key", optarg, INT_MAX, '\0', NULL);
			break;
		case 'g':
			arguments.go = (int)number("--go", optarg, INT_MAX, '\0', NULL);
			break;
		case 'o':
			arguments.offset = number("--offset", optarg, INT64_MAX, '\0', NULL);
			break;
		case 's':
			arguments.size = number("--size", optarg, INT64_MAX, '\0', NULL);
			break;
		case 'u':
			read_owner(optarg, &arguments);
			break;
		case 'p':
			arguments.parent = (pid_t)number("--parent", optarg, INT_MAX, '\0', NULL);
			break;
		case 'l':
			arguments.stacked = true;
			break;
		case 'n':
			arguments.noted = true;
			break;
		case 'd':
			arguments.debug = true;
			break;
		default:
			exit(1);
		}
	if (arguments.fuse < 0 || arguments.image < 0 || arguments.size == 0 || optind < argc)
		fail("usage", "--fuse FD --image FD --offset N --size N [--key FD] [--go FD] [--parent PID] [--owner UID:GID] "
			      "[--stacked [--noted]] [--debug]");
	return arguments;
}

/* Nobody but root looks into the memory of who holds a key: not the payload, which may be the same user (ptrace(2)). */
static void hide(const struct arguments *arguments)
{
	if (arguments->key >= 0 && prctl(PR_SET_DUMPABLE, 0) != 0)
		fail("--key", strerror(errno));
}

/* Nothing that the user does to the job in front of the terminal is meant for us. */
static void leave_job(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP };

	setsid();
	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		signal(ignored[i], SIG_IGN);
	if (chdir("/") != 0)
		fail("/", strerror(errno));
}

/* In the mount namespace of the parent we would keep it, and the mount, alive for ever. */
static void end_with(pid_t parent)
{
	if (parent == 0)
		return;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		fail("--parent", strerror(errno));
	if (getppid() != parent)
		_exit(0);
}

static void sort(int *values, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (size_t j = i; j > 0 && values[j - 1] > values[j]; j--) {
			int value = values[j];

			values[j] = values[j - 1];
			values[j - 1] = value;
		}
}

/* Keeps our descriptors, puts /dev/null under the standard numbers that are free then, closes the rest. */
static void keep_descriptors(const struct arguments *arguments)
{
	int keep[5] = { arguments->fuse, arguments->image };
	size_t count = 2;
	int fd;

	if (arguments->key >= 0)
		keep[count++] = arguments->key;
	if (arguments->go >= 0)
		keep[count++] = arguments->go;
	if (arguments->debug)
		keep[count++] = STDERR_FILENO;
	sort(keep, count);
	rights_close_all_but(keep, count);
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static unsigned count_threads(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : THREADS_MIN;

	return count < THREADS_MIN ? THREADS_MIN : count > THREADS_MAX ? THREADS_MAX : (unsigned)count;
}

/* One heap for all threads, and buffers of a block's size from it: memory is used again instead of being mapped anew. */
static void limit_memory(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 512 * 1024);
	mallopt(M_TRIM_THRESHOLD, 2 * 1024 * 1024);
}

static struct image *open_image(const struct arguments *arguments, unsigned threads)
{
	sqfs_file_t *file;
	struct image *image;
	const char *reason;
	int error = sing_plain_open(arguments->image, arguments->offset, arguments->size, arguments->key, &file);

	if (error != 0)
		fail("cannot serve the image", sing_reason(error));
	if (arguments->key >= 0)
		close(arguments->key);
	image = image_open(file, threads, &reason);
	if (image == NULL)
		fail("cannot serve the image", reason);
	image->owned = arguments->owned;
	image->uid = arguments->uid;
	image->gid = arguments->gid;
	image->stacked = arguments->stacked;
	image->noted = arguments->stacked && arguments->noted;
	image->debug = arguments->debug;
	return image;
}

static struct fuse_session *open_session(const struct arguments *arguments, struct served *served)
{
	char *words[] = { "sing-squashfs", NULL };
	struct fuse_args options = FUSE_ARGS_INIT(1, words);
	struct fuse_session *session = fuse_session_new(&options, &image_operations, sizeof image_operations, served);
	char name[32];

	/* a name of this form means a descriptor that is mounted by somebody else */
	snprintf(name, sizeof name, "/dev/fd/%d", arguments->fuse);
	if (session == NULL || fuse_session_mount(session, name) != 0)
		fail("cannot use the FUSE descriptor", strerror(errno));
	return session;
}

/* The mount must exist before the first read: without one /dev/fuse answers EPERM instead of waiting. */
static void wait_for_go(int go)
{
	char byte;
	ssize_t got;

	if (go < 0)
		return;
	do
		got = read(go, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got != 1)
		_exit(0);
	close(go);
}

static void *serve(void *argument);

/* Counted as idle from the start, so that a burst of requests does not start more threads than it has requests. */
static void add_thread(struct server *server)
{
	if (atomic_fetch_add(&server->running, 1) >= server->threads) {
		atomic_fetch_sub(&server->running, 1);
		return;
	}
	atomic_fetch_add(&server->idle, 1);
	if (!thread_start(serve, server)) {
		atomic_fetch_sub(&server->idle, 1);
		atomic_fetch_sub(&server->running, 1);
	}
}

/* Takes requests until the mount is gone, which ends the process. Whoever takes the last idle seat brings another. */
static void *serve(void *argument)
{
	struct server *server = argument;
	struct fuse_buf request = { 0 };

	for (;;) {
		int got = fuse_session_receive_buf(server->session, &request);

		if (got == -EINTR || got == -EAGAIN)
			continue;
		if (got <= 0)
			_exit(got < 0 && got != -ENODEV ? 1 : 0);
		if (atomic_fetch_sub(&server->idle, 1) == 1 && atomic_load(&server->running) > 1)
			add_thread(server);
		fuse_session_process_buf(server->session, &request);
		atomic_fetch_add(&server->idle, 1);
		/* the first request is INIT: answered alone and at once, for the mount waits for it */
		if (atomic_load(&server->running) == 1)
			add_thread(server);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct arguments arguments = read_arguments(argc, argv);
	struct server server = { .threads = count_threads(), .running = 1, .idle = 1 };
	struct served served = { 0 };

	hide(&arguments);
	end_with(arguments.parent);
	leave_job();
	keep_descriptors(&arguments);
	limit_memory();
	served.image = open_image(&arguments, server.threads);
	server.session = open_session(&arguments, &served);
	rights_drop();
	wait_for_go(arguments.go);
	serve(&server);
}
