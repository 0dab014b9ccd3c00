/*
 * Images are locked by open file description (fcntl(2), F_OFD_SETLK), which conflicts with the record locks of other
 * programs and lives in the server of the image, or in its loop device. Directories have flock(2). Where the kernel itself
 * mounts the overlay nobody else has a reason to live as long as it does, so there is a keeper:
 *
 *   starter --fork--> middle --fork--> keeper     mount namespace of the host, holds the locks
 *      |-- inotify watch on the overlay's root
 *      |-- byte into a pipe --------------> waits for IN_UNMOUNT: the last mount of the overlay is gone
 */
#include "lock.h"

#include "fail.h"
#include "process.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* As long as a server that has just lost its mount may need to write everything down. */
enum { PATIENCE = 150 };

static const struct timespec pause_between = { .tv_nsec = 20 * 1000 * 1000 };

static int inotify = -1;
static int go = -1;

static bool try_image(const struct op *op, int file)
{
	struct flock lock = {
		.l_type = op->writable ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)op->offset,
		.l_len = (off_t)op->size,
	};

	return fcntl(file, F_OFD_SETLK, &lock) == 0;
}

static bool try_directory(const struct op *op, int file)
{
	(void)op;
	return flock(file, LOCK_EX | LOCK_NB) == 0;
}

/* Some file systems of clusters have no locks. A reader does no harm then; a writer is told. */
static void take(const struct op *op, int file, bool (*try)(const struct op *, int))
{
	for (unsigned attempt = 0; !try(op, file); attempt++) {
		if (errno != EAGAIN && errno != EACCES) {
			if (op->writable)
				warn("cannot lock %s: %s: nothing keeps other containers from writing to it", op->from,
				     strerror(errno));
			return;
		}
		if (attempt == PATIENCE)
			fail("cannot use %s: it is in use by another process; wait for its end, or take another overlay", op->from);
		nanosleep(&pause_between, NULL);
	}
}

void lock_image(const struct op *op, int file)
{
	take(op, file, try_image);
}

void hold_image(int file)
{
	/* Whoever has it alone is about to remove it; what is open stays readable at least on this machine. */
	flock(file, LOCK_SH | LOCK_NB);
}

int lock_directory(const struct op *op)
{
	int file = open(op->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (file < 0)
		fail("cannot use the directory %s: %s", op->from, strerror(errno));
	take(op, file, try_directory);
	return file;
}

static _Noreturn void keep(int begin, int *kept, unsigned count)
{
	struct inotify_event event;
	char byte;

	kept[count++] = begin;
	kept[count++] = inotify;
	leave_job();
	/* Whoever reads what the payload writes is to see its end. */
	dup2(STDIN_FILENO, STDOUT_FILENO);
	dup2(STDIN_FILENO, STDERR_FILENO);
	close_all_but(kept, count);
	if (read(begin, &byte, 1) == 1)
		while (read(inotify, &event, sizeof event) == (ssize_t)sizeof event)
			if (event.mask & IN_UNMOUNT)
				break;
	_exit(0);
}

/* The locks that the keeper is to hold; none where a program mounts the overlay, which holds them itself. */
static unsigned collect_locks(const struct spec *spec, const struct input *inputs, int locks[], unsigned most)
{
	unsigned count = 0;

	for (unsigned index = 0; index < spec->op_count; index++) {
		if (spec->ops[index].kind == OP_OVERLAY && spec->ops[index].program)
			return 0;
		if (inputs[index].lock >= 0 && count < most)
			locks[count++] = inputs[index].lock;
	}
	return count;
}

void start_keeper(const struct spec *spec, const struct input *inputs)
{
	enum { MOST_LOCKS = 16 };
	int locks[MOST_LOCKS + 2], begin[2];
	unsigned count = collect_locks(spec, inputs, locks, MOST_LOCKS);
	pid_t middle;

	if (count == 0)
		return;
	inotify = inotify_init1(IN_CLOEXEC);
	if (inotify < 0 || pipe2(begin, O_CLOEXEC) != 0)
		fail("cannot keep the lock of the overlay: %s", strerror(errno));
	middle = fork();
	if (middle < 0)
		fail("cannot keep the lock of the overlay: %s", strerror(errno));
	if (middle == 0) {
		close(begin[1]);
		if (fork() == 0)
			keep(begin[0], locks, count);
		_exit(0);
	}
	close(begin[0]);
	go = begin[1];
	wait_for_child(middle);
}

bool watch_overlay(int root)
{
	if (inotify < 0)
		return true;
	/* IN_UNMOUNT comes whatever is asked for (inotify(7)). */
	if (inotify_add_watch(inotify, path_of(root).text, IN_DELETE_SELF) < 0 || write(go, "!", 1) != 1)
		return refuse("keeping its lock: %s", strerror(errno));
	close(inotify);
	close(go);
	return true;
}
