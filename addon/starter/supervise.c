/*
 *   starter (the caller's child)            pid namespace
 *     waits, hands on signals  ----fork---> process 1: makes the container, then
 *                                             without init: becomes the payload
 *                                             with init:    ----fork---> payload
 *                                                           waits, reaps, hands on signals
 *
 * The end of the payload ends process 1, that ends the namespace with all that is left in it, and that the starter. The
 * other way round the kernel kills process 1 when the starter dies (PR_SET_PDEATHSIG).
 */
#include "supervise.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLOSE_RANGE = 436 }; /* close_range(2), kernel 5.9, younger than some C libraries */

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

/* Whoever reads from a pipe of the payload is to see its end when the payload closes it. */
static void close_from(unsigned first)
{
	struct rlimit limit;

	if (syscall(CLOSE_RANGE, first, ~0U, 0) == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	for (unsigned fd = first; fd < limit.rlim_cur && fd < 1U << 20; fd++)
		close((int)fd);
}

/* The length of the arguments as one text: the kernel puts them one behind the other (execve(2)). */
static size_t whole_length(int argc, char **argv)
{
	size_t whole = strlen(argv[0]);

	for (int index = 1; index < argc && argv[index] == argv[0] + whole + 1; index++)
		whole += 1 + strlen(argv[index]);
	return whole;
}

/* A list of processes shows what this one does, not the whole spec. */
static void rename_process(const char *name, int argc, char **argv)
{
	size_t whole = whole_length(argc, argv), length = strlen(name);

	prctl(PR_SET_NAME, name);
	if (whole <= length)
		return;
	memset(argv[0], 0, whole);
	memcpy(argv[0], name, length);
}

/* Reap whoever has ended; end with the child when it was the one. */
static void reap(pid_t child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == child)
			_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static _Noreturn void watch(pid_t child)
{
	const sigset_t set = watched_signals();
	siginfo_t info;

	for (;;) {
		if (sigwaitinfo(&set, &info) < 0)
			continue;
		if (info.si_signo == SIGCHLD)
			reap(child);
		else if (info.si_code <= 0) /* sent by a process; what comes from the terminal, everyone has got */
			kill(child, info.si_signo);
	}
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

static _Noreturn void stay_outside(const struct spec *spec, pid_t child, int life, int argc, char **argv)
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
	close_from(STDERR_FILENO + 1);
	rename_process("sing-starter", argc, argv);
	watch(child);
}

void enter_pid_namespace(const struct spec *spec, int argc, char **argv)
{
	const sigset_t set = watched_signals();
	int life[2];
	pid_t child;

	if (!(spec->namespaces & CLONE_NEWPID))
		return;
	if (pipe2(life, O_CLOEXEC) != 0)
		fail("cannot enter the pid namespace: %s", strerror(errno));
	sigprocmask(SIG_BLOCK, &set, NULL); /* nothing is lost meanwhile; become() undoes it for the payload */
	child = fork();
	if (child < 0)
		fail("cannot enter the pid namespace: %s", strerror(errno));
	if (child > 0)
		stay_outside(spec, child, life[1], argc, argv);
	close(life[1]);
	die_with_parent(life[0]);
}

void leave_init_behind(const struct spec *spec, int argc, char **argv)
{
	pid_t child;

	if (!spec->init)
		return;
	child = fork();
	if (child < 0)
		fail("cannot start the payload: %s", strerror(errno));
	if (child == 0)
		return;
	close_from(STDERR_FILENO + 1);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	rename_process("sing-init", argc, argv);
	watch(child);
}
