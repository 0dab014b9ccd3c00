/*
 * The hand-over of /dev/fuse to sing-squashfs:
 *
 *   starter ----fork----> middle ----fork----> server (exec)     session of its own, mount namespace of the host
 *      |                    `-> ends at once, reaped before the   so that the payload has no child that it did not make
 *      |                        payload begins
 *      |-- mount(fd of /dev/fuse) -- byte into the go pipe --> server reads /dev/fuse
 *
 * A server inside of the container's mount namespace would keep that namespace, and so its own mount, alive for ever.
 *
 * One that gets a key is forked before there is a user namespace, and waits for /dev/fuse, which is opened in there: who is
 * root in the container has no power over a process of the namespace above (ptrace(2)), and cannot read the key.
 */
#include "server.h"

#include "fail.h"
#include "loop.h"
#include "passage.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char program[PATH_MAX];
static int host_mounts = -1;

/* The server lies beside the starter; it belongs into the mount namespace that is left later. */
static void find_server(void)
{
	static const char name[] = "/sing-squashfs";
	ssize_t length;
	char *slash;

	if (host_mounts >= 0)
		return;
	length = readlink("/proc/self/exe", program, sizeof program - sizeof name);
	if (length < 0)
		fail("cannot read /proc/self/exe: %s", strerror(errno));
	program[length] = '\0';
	slash = strrchr(program, '/');
	if (slash)
		memcpy(slash, name, sizeof name);
	host_mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (host_mounts < 0)
		fail("cannot open /proc/self/ns/mnt: %s", strerror(errno));
}

static bool is_encrypted(const struct op *op)
{
	return op->kind == OP_SQUASHFS && op->key >= 0;
}

static void keep_over_exec(int fd)
{
	fcntl(fd, F_SETFD, 0);
}

void report_failure(int report)
{
	int error = errno;

	/* A short write cannot happen (PIPE_BUF), and nobody else could be told. */
	if (write(report, &error, sizeof error) < 0)
		_exit(STATUS_FATAL);
	_exit(STATUS_FATAL);
}

static _Noreturn void run_server(const struct op *op, const struct input *input, int go, int report)
{
	char fuse[16], image[16], offset[24], size[24], begin[16], owner[32], key[16];
	const char *arguments[18] = { "sing-squashfs", "--fuse", fuse, "--image", image, "--offset", offset,
		                      "--size", size, "--go", begin };
	unsigned count = 11;

	snprintf(fuse, sizeof fuse, "%d", input->fuse);
	snprintf(image, sizeof image, "%d", input->file);
	snprintf(offset, sizeof offset, "%" PRIu64, op->offset);
	snprintf(size, sizeof size, "%" PRIu64, op->size);
	snprintf(begin, sizeof begin, "%d", go);
	if (op->owned) {
		snprintf(owner, sizeof owner, "%u:%u", op->uid, op->gid);
		arguments[count++] = "--owner";
		arguments[count++] = owner;
	}
	if (is_encrypted(op)) {
		snprintf(key, sizeof key, "%d", op->key);
		arguments[count++] = "--key";
		arguments[count++] = key;
		keep_over_exec(op->key);
	}
	if (is_debugging())
		arguments[count++] = "--debug";
	keep_over_exec(input->fuse);
	keep_over_exec(input->file);
	keep_over_exec(go);
	/* The server must hold no directory of the host: it lives as long as the container. */
	if (chdir("/") == 0)
		execve(program, (char *const *)arguments, (char *const[]){ NULL });
	report_failure(report);
}

static _Noreturn void be_middle(const struct op *op, struct input *input, int go, int report, bool late)
{
	pid_t server;

	setsid(); /* no terminal for the server */
	if (late && setns(host_mounts, CLONE_NEWNS) != 0)
		report_failure(report);
	server = fork();
	if (server < 0)
		report_failure(report);
	if (server > 0)
		_exit(0);
	if (input->fuse < 0) {
		close(input->line);
		input->fuse = receive_descriptor(input->far);
	}
	if (input->fuse < 0) /* the starter gave up */
		_exit(STATUS_FATAL);
	run_server(op, input, go, report);
}

static bool fork_server(const struct op *op, struct input *input, bool late)
{
	int go[2], report[2];
	pid_t middle;

	if (pipe2(go, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0)
		return refuse("starting %s: %s", program, strerror(errno));
	middle = fork();
	if (middle < 0)
		return refuse("starting %s: %s", program, strerror(errno));
	if (middle == 0)
		be_middle(op, input, go[0], report[1], late);
	close(go[0]);
	close(report[1]);
	input->go = go[1];
	input->report = report[0];
	input->middle = middle;
	debug("started a server for %s", op->from);
	return true;
}

static bool start_server(const struct op *op, struct input *input, bool late)
{
	/* Opened inside of the user namespace that mounts it, else the mount is refused with EINVAL. */
	input->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (input->fuse < 0)
		return refuse("/dev/fuse: %s", strerror(errno));
	if (input->line < 0)
		return fork_server(op, input, late);
	if (!send_descriptor(input->line, input->fuse))
		return refuse("%s ended before it began: %s", program, strerror(errno));
	close(input->line);
	input->line = -1;
	return true;
}

static void start_with_key(const struct op *op, struct input *input)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		fail("cannot mount the image %s: %s", op->from, strerror(errno));
	input->line = ends[0];
	input->far = ends[1];
	if (!fork_server(op, input, false))
		fail("cannot mount the image %s: %s", op->from, refusal());
	close(input->far);
}

void start_servers_with_keys(const struct spec *spec, struct input *inputs)
{
	for (unsigned index = 0; index < spec->op_count; index++) {
		if (!is_encrypted(&spec->ops[index]))
			continue;
		find_server();
		start_with_key(&spec->ops[index], &inputs[index]);
	}
	close_keys(spec);
}

void close_keys(const struct spec *spec)
{
	for (unsigned index = 0; index < spec->op_count; index++)
		if (is_encrypted(&spec->ops[index]))
			close(spec->ops[index].key);
}

/* Whether the kernel is to mount the image by itself, and a loop device for that could be had. */
static bool has_loop_device(const struct spec *spec, const struct op *op, struct input *input)
{
	if (!op->kernel || op->owned || spec->namespaces & CLONE_NEWUSER)
		return false;
	input->loop = attach_loop(input->file, op->offset, op->size, false);
	if (input->loop < 0)
		debug("no loop device for %s: %s", op->from, refusal());
	return input->loop >= 0;
}

void start_servers(const struct spec *spec, struct input *inputs)
{
	for (unsigned index = 0; index < spec->op_count; index++) {
		const struct op *op = &spec->ops[index];

		if (op->kind != OP_SQUASHFS)
			continue;
		find_server();
		if (has_loop_device(spec, op, &inputs[index]))
			continue;
		if (!start_server(op, &inputs[index], false))
			fail("cannot mount the image %s: %s", op->from, refusal());
	}
}

bool start_late_server(const struct op *op, struct input *input)
{
	return start_server(op, input, true);
}

bool release_server(struct input *input)
{
	int error = 0;

	ssize_t length = read(input->report, &error, sizeof error);

	wait_for_child(input->middle);
	if (length == (ssize_t)sizeof error)
		return refuse("starting %s: %s", program, strerror(error));
	if (write(input->go, "!", 1) != 1)
		return refuse("%s ended before it began", program);
	close(input->go);
	close(input->report);
	input->go = -1;
	input->report = -1;
	return true;
}
