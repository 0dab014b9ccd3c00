/* Prepares the process for the payload. */
#include "process.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLOSE_RANGE = 436 }; /* close_range(2), kernel 5.9, younger than some C libraries */

/*
 * A caller may have closed the standard descriptors. Then files of ours would get their numbers, and messages would be
 * written into them. O_PATH descriptors take the places: they refuse to be read and written.
 */
static void occupy_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/", O_PATH | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

void leave_job(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
	const struct sigaction action = { .sa_handler = SIG_IGN };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	/* libfuse leaves alone what is ignored. */
	for (size_t index = 0; index < sizeof ignored / sizeof *ignored; index++)
		sigaction(ignored[index], &action, NULL);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	if (chdir("/") != 0)
		debug("staying in the caller's directory: %s", strerror(errno));
}

static void close_range_of(unsigned first, unsigned last)
{
	struct rlimit limit;

	if (first > last || syscall(CLOSE_RANGE, first, last, 0) == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	for (unsigned fd = first; fd <= last && fd < limit.rlim_cur && fd < 1U << 20; fd++)
		close((int)fd);
}

static int compare(const void *one, const void *other)
{
	return *(const int *)one - *(const int *)other;
}

void close_all_but(int *kept, unsigned count)
{
	unsigned next = STDERR_FILENO + 1;

	if (count > 1)
		qsort(kept, count, sizeof *kept, compare);
	for (unsigned index = 0; index < count; index++) {
		if ((unsigned)kept[index] > next)
			close_range_of(next, (unsigned)kept[index] - 1);
		if ((unsigned)kept[index] >= next)
			next = (unsigned)kept[index] + 1;
	}
	close_range_of(next, ~0U);
}

int wait_for_child(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_FATAL;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

struct caller begin_work(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	struct caller caller;
	struct rlimit most;

	caller.parent = getppid();
	occupy_standard_descriptors();
	caller.umask = umask(0);
	/* With SIGCHLD ignored nobody could wait for a child (wait(2)). */
	sigaction(SIGCHLD, &action, &caller.child);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	if (getrlimit(RLIMIT_NOFILE, &caller.open_files) != 0)
		fail("cannot read the limit of open files: %s", strerror(errno));
	most = caller.open_files;
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	return caller;
}

static void restore_open_files(const struct spec *spec, const struct caller *caller)
{
	struct rlimit limit = caller->open_files;

	if (spec->open_files >= 0)
		limit.rlim_cur = (rlim_t)spec->open_files;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		fail("cannot restore the limit of open files: %s", strerror(errno));
}

/*
 * Engines of JavaScript ignore SIGPIPE and SIGXFSZ. A shell without job control ignores SIGINT and SIGQUIT for what it puts
 * into the background, and a shell in the container could never trap them again (POSIX sh, trap); scripts that end a
 * container in the background with kill -INT rely on it. What else is ignored is the user's wish, as with nohup.
 */
void restore_signals(const struct caller *caller)
{
	static const int restored[] = { SIGPIPE, SIGXFSZ, SIGINT, SIGQUIT };
	const struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (size_t index = 0; index < sizeof restored / sizeof *restored; index++)
		sigaction(restored[index], &action, NULL);
	sigaction(SIGCHLD, &caller->child, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* libuv sets O_NONBLOCK on the pipes and terminals that it is given. */
static void restore_blocking(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int flags = fcntl(fd, F_GETFL);

		if (flags >= 0 && flags & O_NONBLOCK)
			fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	}
}

static void enter_directory(const struct spec *spec)
{
	for (unsigned index = 0; index < spec->directory_count; index++) {
		if (chdir(spec->directories[index]) == 0) {
			/* The environment was made for the first. */
			if (index > 0 && setenv("PWD", spec->directories[index], 1) != 0)
				fail("cannot set PWD: %s", strerror(errno));
			return;
		}
		if (spec->directory_required)
			fail("cannot enter the working directory %s: %s", spec->directories[index], strerror(errno));
		debug("no working directory %s: %s", spec->directories[index], strerror(errno));
	}
	if (chdir("/") != 0)
		fail("cannot enter the working directory /: %s", strerror(errno));
	if (spec->directory_count > 0 && setenv("PWD", "/", 1) != 0)
		fail("cannot set PWD: %s", strerror(errno));
}

void settle(const struct spec *spec, const struct caller *caller)
{
	if (spec->hostname && sethostname(spec->hostname, strlen(spec->hostname)) != 0)
		fail("cannot set the host name %s: %s", spec->hostname, strerror(errno));
	enter_directory(spec);
	umask(spec->umask >= 0 ? (mode_t)spec->umask : caller->umask);
	restore_open_files(spec, caller);
	restore_blocking();
}
