/*
 *   engine ----> starter ----fork----> process 1 ("sing-init") ----fork----> payload
 *                  tells the pid          reaps, hands on signals
 *                  and ends               stays when the payload ends
 *
 * Descriptor 3 is the report to the engine: "pid N\n" from the starter, "up\n" from the payload's script
 * just before its last exec. A program that runs without such a script is announced by "try\n"; the report then ends with
 * its exec, or with "failed\n". The end without a word says that the script has not come so far.
 *
 * Descriptor 4 leads the other way, to process 1: when the engine has noted the instance it says so with one byte. Its end
 * before that is the end of everything.
 *
 * An instance ends by SIGTERM or SIGINT, which everybody in it gets, or by SIGPWR, which nobody gets: it says that whatever
 * was sent before was meant to end the payload. Other signals are the payload's business.
 */
#include "instance.h"

#include "fail.h"
#include "process.h"
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIDFD_OPEN = 434 }; /* pidfd_open(2), kernel 5.3 */
enum { CLOSE_RANGE = 436, CLOEXEC_ONLY = 4 }; /* close_range(2), kernel 5.9, the flag 5.11 */
enum { PATIENCE = 10 };    /* seconds for the payload when its job has ended */
enum { REPORT = 3, ORDERS };
enum { SIGNALS, JOB, ENGINE, WATCHED };

static int job = -1;

struct instance {
	pid_t payload; /* 0 when it has ended */
	bool ending;
	struct pollfd watched[WATCHED];
	int argc;
	char **argv;
};

/* Whoever waits for the end of a pipe of the caller must not wait for the instance. */
static void close_at_exec(unsigned first)
{
	struct rlimit limit;

	if (syscall(CLOSE_RANGE, first, ~0U, CLOEXEC_ONLY) == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	for (unsigned fd = first; fd < limit.rlim_cur && fd < 1U << 20; fd++)
		fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

void prepare_instance(const struct spec *spec)
{
	if (!spec->instance)
		return;
	close_at_exec(REPORT);
	if (spec->job == 0)
		return;
	job = (int)syscall(PIDFD_OPEN, spec->job, 0);
	if (job < 0)
		debug("the instance does not end with its job: %s", strerror(errno));
}

void report_and_leave(pid_t child)
{
	dprintf(REPORT, "pid %d\n", child);
	_exit(0);
}

void report_attempt(const struct spec *spec, unsigned program)
{
	if (!spec->instance)
		return;
	fcntl(REPORT, F_SETFD, program < spec->confirming ? 0 : FD_CLOEXEC);
	if (program < spec->confirming)
		return;
	tell_failure_to(REPORT);
	if (program == spec->confirming)
		dprintf(REPORT, "try\n");
}

/* A list of processes shows how the payload has ended, and `instance wait` reads it there. */
static void note_end(const struct instance *instance, int status)
{
	char name[64];

	snprintf(name, sizeof name, "sing-init: ended with %d", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	rename_process(name, instance->argc, instance->argv);
}

static void reap_all(struct instance *instance)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != instance->payload)
			continue;
		instance->payload = 0;
		note_end(instance, status);
		if (instance->ending) /* what it has left behind gets its chance, too */
			kill(-1, SIGTERM);
	}
	if (pid < 0 && errno == ECHILD && instance->ending)
		_exit(0);
}

/* What asks for the end goes to everybody, as from a terminal: a shell waits for its command before it obeys. */
static void hand_on(struct instance *instance, int number)
{
	bool everybody = number == SIGTERM || number == SIGINT || !instance->payload;

	if (number == SIGTERM || number == SIGINT || number == SIGPWR)
		instance->ending = true;
	if (number != SIGPWR)
		kill(everybody ? -1 : instance->payload, number);
	reap_all(instance);
}

static void take_signals(struct instance *instance)
{
	struct signalfd_siginfo info;

	while (read(instance->watched[SIGNALS].fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			reap_all(instance);
		else
			hand_on(instance, (int)info.ssi_signo);
	}
}

/* Its one byte says that the instance is noted; its end before, that nobody will ever know of it. */
static void hear_engine(struct instance *instance)
{
	char byte;

	if (read(instance->watched[ENGINE].fd, &byte, 1) != 1)
		_exit(STATUS_FATAL);
	close(instance->watched[ENGINE].fd);
	instance->watched[ENGINE].fd = -1;
}

static void end_with_job(struct instance *instance)
{
	close(instance->watched[JOB].fd);
	instance->watched[JOB].fd = -1;
	alarm(PATIENCE);
	hand_on(instance, SIGTERM);
}

/* All signals that can be blocked are read from a descriptor. SIGALRM is the end of patience. */
static sigset_t read_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	return all;
}

void hold_signals(void)
{
	const sigset_t all = read_signals();

	sigprocmask(SIG_SETMASK, &all, NULL);
}

static int open_signals(void)
{
	const sigset_t all = read_signals();

	return signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Nothing of the host or of the payload is kept in use: no directory, no log, no pipe. */
static void let_go(int life)
{
	int kept[] = { ORDERS, job };

	if (chdir("/") != 0)
		debug("staying in the payload's directory: %s", strerror(errno));
	/* Whoever holds the other end of the spec's descriptor sees the end of the container. */
	if (life >= 0)
		dup2(life, STDIN_FILENO);
	else
		close(STDIN_FILENO);
	close_all_but(kept, job >= 0 ? 2 : 1);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
}

/* poll(2) watches no more descriptors than may be open, however few the caller left to the payload. */
static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void look(struct instance *instance)
{
	int ready = poll(instance->watched, WATCHED, -1);

	/* Nobody could be told; who cannot wait must not go round in circles. */
	if (ready < 0 && errno != EINTR && errno != EAGAIN)
		_exit(STATUS_FATAL);
	if (ready <= 0)
		return;
	if (instance->watched[SIGNALS].revents)
		take_signals(instance);
	if (instance->watched[ENGINE].revents)
		hear_engine(instance);
	if (instance->watched[JOB].revents)
		end_with_job(instance);
}

static _Noreturn void give_up(int number)
{
	(void)number;
	_exit(0);
}

void keep_instance(const struct spec *spec, pid_t payload, int argc, char **argv)
{
	const struct sigaction impatient = { .sa_handler = give_up };
	struct instance instance = { .payload = payload, .argc = argc, .argv = argv };

	/* A handler, because process 1 ignores what it has none for. */
	sigaction(SIGALRM, &impatient, NULL);
	let_go(spec->life);
	raise_open_files();
	instance.watched[SIGNALS] = (struct pollfd){ .fd = open_signals(), .events = POLLIN };
	instance.watched[ENGINE] = (struct pollfd){ .fd = ORDERS, .events = POLLIN };
	instance.watched[JOB] = (struct pollfd){ .fd = job, .events = POLLIN };
	rename_process("sing-init", argc, argv);
	for (;;)
		look(&instance);
}
