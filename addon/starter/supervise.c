/*
 *   starter (the caller's child)            pid namespace
 *     waits, hands on signals  ----fork---> process 1: makes the container, then
 *                                             without init: becomes the payload
 *                                             with init:    ----fork---> payload
 *                                                           waits, reaps, hands on signals
 *
 * The end of the payload ends process 1, that ends the namespace with all that is left in it, and that the starter. The
 * other way round the kernel kills process 1 when the starter dies (PR_SET_PDEATHSIG).
 *
 * With `stay` one more process waits, outside of the mount namespace, until those who serve changes have written them.
 */
#include "supervise.h"

#include "fail.h"
#include "instance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static sigset_t watched_signals(void)
{
	static const int handed_on[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t index = 0; index < sizeof handed_on / sizeof *handed_on; index++)
		sigaddset(&set, handed_on[index]);
	return set;
}

/* The length of the arguments as one text: the kernel puts them one behind the other (execve(2)). */
static size_t whole_length(int argc, char **argv)
{
	size_t whole = strlen(argv[0]);

	for (int index = 1; index < argc && argv[index] == argv[0] + whole + 1; index++)
		whole += 1 + strlen(argv[index]);
	return whole;
}

void rename_process(const char *name, int argc, char **argv)
{
	static size_t whole; /* of the first time: afterwards the arguments are gone */
	size_t length = strlen(name);

	if (whole == 0)
		whole = whole_length(argc, argv);

	prctl(PR_SET_NAME, name);
	if (whole <= length)
		return;
	memset(argv[0], 0, whole);
	memcpy(argv[0], name, length);
}

/* Reap whoever has ended; the exit status of the child when it was the one, else -1. */
static int reap(pid_t child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == child)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return -1;
}

/* Hand on signals until the child has ended. Returns its exit status. */
static int watch(pid_t child)
{
	const sigset_t set = watched_signals();
	siginfo_t info;
	int status = -1;

	while (status < 0) {
		if (sigwaitinfo(&set, &info) < 0)
			continue;
		if (info.si_signo == SIGCHLD)
			status = reap(child);
		else if (info.si_code <= 0) /* sent by a process; what comes from the terminal, everyone has got */
			kill(child, info.si_signo);
	}
	return status;
}

/* Ends this process when its parent has died before it could ask to die with it. */
static void die_with_parent(int life)
{
	struct pollfd parent = { .fd = life };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(&parent, 1, 0) != 0)
		_exit(STATUS_FATAL);
	close(life);
}

void follow_parent(const struct spec *spec, const struct caller *caller)
{
	if (!spec->die_with_parent)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != caller->parent)
		_exit(STATUS_FATAL);
}

static void wait_outside(const struct spec *spec, int life, int argc, char **argv)
{
	/* Neither a pipe nor a file system of the host is kept in use by who only waits. */
	if (chdir("/") != 0)
		debug("staying in the caller's directory: %s", strerror(errno));
	dup2(life, STDIN_FILENO);
	/* Whoever holds the other end of the spec's descriptor sees the end of the container. */
	if (spec->life < 0)
		close(STDOUT_FILENO);
	else
		dup2(spec->life, STDOUT_FILENO);
	rename_process("sing-starter", argc, argv);
}

/* Fork. The child goes on, and dies with this process. */
static pid_t leave_behind(const char *what, int life[2])
{
	const sigset_t set = watched_signals();
	pid_t child;

	if (pipe2(life, O_CLOEXEC) != 0)
		fail("cannot %s: %s", what, strerror(errno));
	sigprocmask(SIG_BLOCK, &set, NULL); /* nothing is lost meanwhile; become() undoes it for the payload */
	child = fork();
	if (child < 0)
		fail("cannot %s: %s", what, strerror(errno));
	if (child > 0)
		return child;
	close(life[1]);
	die_with_parent(life[0]);
	return 0;
}

/* A server has the other end of the pipe as long as it writes. What the payload left running may keep it from ending. */
static void wait_for_servers(int written)
{
	static const struct timespec moment = { .tv_nsec = 10 * 1000 * 1000 };
	enum { MOMENTS = 50 };
	char byte;

	for (unsigned left = MOMENTS; waitpid(-1, NULL, WNOHANG) >= 0; left--) {
		if (left == 0)
			return;
		nanosleep(&moment, NULL);
	}
	while (read(written, &byte, 1) < 0 && errno == EINTR)
		;
}

int stay_until_written(const struct spec *spec, int argc, char **argv)
{
	int life[2], written[2], status;
	char byte;
	pid_t child;

	if (!spec->stay)
		return -1;
	if (pipe2(written, O_CLOEXEC) != 0)
		fail("cannot wait for what is written: %s", strerror(errno));
	child = leave_behind("wait for what is written", life);
	if (child == 0) {
		close(written[0]);
		return written[1];
	}
	close(written[1]);
	wait_outside(spec, life[1], argc, argv);
	close_all_but(&written[0], 1);
	/* Servers are no children of ours, whoever is left by the payload is. */
	if (read(written[0], &byte, 1) == 1)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	status = watch(child);
	wait_for_servers(written[0]);
	_exit(status);
}

void tell_root_is_made(int written)
{
	if (written < 0)
		return;
	if (write(written, "!", 1) != 1)
		fail("cannot tell that the root is made: %s", strerror(errno));
	close(written);
}

void fork_watched(const struct spec *spec, int argc, char **argv)
{
	int life[2];
	pid_t child;

	child = leave_behind("enter the pid namespace", life);
	if (child == 0)
		return;
	wait_outside(spec, life[1], argc, argv);
	close_all_but(NULL, 0);
	_exit(watch(child));
}

static void fork_unwatched(void)
{
	pid_t child = fork();

	if (child < 0)
		fail("cannot enter the pid namespace: %s", strerror(errno));
	if (child > 0)
		report_and_leave(child);
	setsid();
}

void enter_pid_namespace(const struct spec *spec, int argc, char **argv)
{
	if (!(spec->namespaces & CLONE_NEWPID))
		return;
	if (unshare(CLONE_NEWPID) != 0)
		fail("cannot enter the pid namespace: %s", strerror(errno));
	if (spec->instance)
		fork_unwatched();
	else
		fork_watched(spec, argc, argv);
}

void leave_init_behind(const struct spec *spec, int argc, char **argv)
{
	pid_t child;

	if (!spec->init)
		return;
	if (spec->instance)
		hold_signals();
	child = fork();
	if (child < 0)
		fail("cannot start the payload: %s", strerror(errno));
	if (child == 0)
		return;
	if (spec->instance)
		keep_instance(spec, child, argc, argv);
	close_all_but(NULL, 0);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	rename_process("sing-init", argc, argv);
	_exit(watch(child));
}
