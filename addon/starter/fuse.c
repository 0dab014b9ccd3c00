/*
 * FUSE file systems of the user's. Their programs get the descriptor of /dev/fuse as the name /dev/fd/N in place of a mount
 * point, and the mount is ours (libfuse since 3.3). Those of the host live like sing-squashfs, see server.c; those of the
 * container are processes of its pid namespace, and end with it.
 *
 *   host        forked before the mount namespace, waits for the mount, exec
 *   container   forked behind the mount and in the new root, exec
 */
#include "fuse.h"

#include "fail.h"
#include "perform.h"
#include "security.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing to read, and what it says does not mix into the payload's output. */
static void settle_descriptors(int fuse)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	fcntl(fuse, F_SETFD, 0);
}

/* The program's words, behind them the place that it is to serve. Comes back only when it cannot be run. */
static void run_program(const struct op *op, int fuse, char **environment)
{
	unsigned count = 0;
	char place[32];

	while (op->words[count])
		count++;
	char *arguments[count + 2];
	memcpy(arguments, op->words, count * sizeof *arguments);
	snprintf(place, sizeof place, "/dev/fd/%d", fuse);
	arguments[count] = place;
	arguments[count + 1] = NULL;
	settle_descriptors(fuse);
	execvpe(arguments[0], arguments, environment);
}

/* The child of a child, so that the payload has none that it did not make. */
static _Noreturn void be_outside(const struct op *op, const struct input *input, int go, int report)
{
	pid_t server;
	char byte;

	setsid();
	server = fork();
	if (server < 0)
		report_failure(report);
	if (server > 0)
		_exit(0);
	if (read(go, &byte, 1) != 1)
		_exit(STATUS_FATAL);
	umask(022);
	signal(SIGPIPE, SIG_DFL);
	run_program(op, input->fuse, op->environment);
	report_failure(report);
}

static bool start_outside(const struct op *op, struct input *input)
{
	int go[2], report[2];

	if (pipe2(go, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0)
		return refuse("%s", strerror(errno));
	input->middle = fork();
	if (input->middle < 0)
		return refuse("%s", strerror(errno));
	if (input->middle == 0) {
		close(go[1]);
		be_outside(op, input, go[0], report[1]);
	}
	close(go[0]);
	close(report[1]);
	input->go = go[1];
	input->report = report[0];
	return true;
}

void start_fuse_programs(const struct spec *spec, struct input *inputs)
{
	for (unsigned index = 0; index < spec->op_count; index++) {
		const struct op *op = &spec->ops[index];

		if (op->kind != OP_FUSE)
			continue;
		/* Opened inside of the user namespace that mounts it, else the mount is refused with EINVAL. */
		inputs[index].fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
		if (inputs[index].fuse < 0)
			fail("cannot mount %s at %s: /dev/fuse: %s", op->words[0], op->at, strerror(errno));
		if (!op->inside && !start_outside(op, &inputs[index]))
			fail("cannot start %s: %s", op->words[0], refusal());
	}
}

/* End of file says that the program runs, an errno that it does not. */
static bool has_started(const struct op *op, int report)
{
	int error;

	if (read(report, &error, sizeof error) == (ssize_t)sizeof error)
		return refuse("running %s: %s", op->words[0], strerror(error));
	return true;
}

/* The first question is answered when the program serves, and fails when it has ended. */
static bool serves(const struct op *op, const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 || (errno != ENOTCONN && errno != ECONNABORTED))
		return true;
	return refuse("%s ended before it served anything", op->words[0]);
}

static bool release_program(const struct op *op, struct input *input)
{
	if (write(input->go, "!", 1) != 1)
		return refuse("%s ended before it began", op->words[0]);
	close(input->go);
	close(input->fuse);
	input->go = -1;
	input->fuse = -1;
	/* In a pid namespace it is not our child but that of the process outside, which reaps it in its turn. */
	while (waitpid(input->middle, NULL, 0) < 0 && errno == EINTR)
		;
	return has_started(op, input->report);
}

bool perform_fuse(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };
	char options[128];

	if (!take_place(stage, op, MAKE_DIRECTORY, &place))
		return false;
	if (place.fd < 0)
		return true;
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u,allow_other", input->fuse, getuid(),
		 getgid());
	if (mount(op->words[0], path_of(place.fd).text, "fuse", MS_NOSUID | MS_NODEV, options) != 0)
		return refuse("%s", strerror(errno));
	if (op->inside)
		return true;
	if (!release_program(op, input))
		return false;
	AUTO_CLOSE int top = open_top(&place);
	return top < 0 || serves(op, path_of(top).text);
}

static _Noreturn void be_inside(const struct spec *spec, const struct op *op, int fuse, int report,
				const struct caller *caller)
{
	setsid();
	umask(022);
	drop_powers(spec);
	restore_signals(caller);
	confine(spec);
	run_program(op, fuse, environ);
	report_failure(report);
}

static bool start_inside(const struct spec *spec, const struct op *op, struct input *input, const struct caller *caller)
{
	int report[2];
	pid_t child;

	if (pipe2(report, O_CLOEXEC) != 0)
		return refuse("%s", strerror(errno));
	child = fork();
	if (child < 0)
		return refuse("%s", strerror(errno));
	if (child == 0)
		be_inside(spec, op, input->fuse, report[1], caller);
	close(report[1]);
	close(input->fuse);
	input->fuse = -1;
	AUTO_CLOSE int answer = report[0];
	return has_started(op, answer) && serves(op, op->at);
}

void start_inner_programs(const struct spec *spec, struct input *inputs, const struct caller *caller)
{
	for (unsigned index = 0; index < spec->op_count; index++) {
		const struct op *op = &spec->ops[index];

		if (op->kind == OP_FUSE && op->inside && !start_inside(spec, op, &inputs[index], caller))
			fail("cannot mount %s at %s: %s", op->words[0], op->at, refusal());
	}
}
