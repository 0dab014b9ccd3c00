/*
 * A FUSE program that knows only how to mount by itself does so in a mount namespace of its own, a copy of this one. There
 * its mount is cloned for the container and then taken away, so that the container has the only one:
 *
 *   starter --fork--> middle: own mount namespace
 *      |                |--fork--> program (exec): mounts, leaves a server behind, ends with 0
 *      |                |-- open_tree of the mount --> descriptor --> starter: move_mount
 *      |                `-- takes the mount away, ends
 *      `- when the last process of the container is gone, so is the mount: the server writes what is left, and ends
 *
 * The copy holds the layers that were there before, whose servers therefore end after this one.
 */
#include "driver.h"

#include "fail.h"
#include "process.h"
#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every architecture, since kernel 5.2; older C libraries do not have them. */
enum { OPEN_TREE = 428, MOVE_MOUNT = 429, TREE_CLONE = 1, FROM_EMPTY_PATH = 4, TO_EMPTY_PATH = 0x40 };

/* An exec takes all capabilities from who is not uid 0, unless they are ambient (capabilities(7)). */
static void keep_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) != 0)
		return;
	for (int half = 0; half < 2; half++)
		data[half].inheritable = data[half].permitted;
	if (syscall(SYS_capset, &header, data) != 0)
		return;
	for (unsigned long capability = 0; capability < 64; capability++)
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
}

static _Noreturn void run_program(const struct stage *stage, const char *const arguments[], int file, int errors)
{
	static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	int kept[MOST_HELD + 1];
	unsigned count = 0;

	for (unsigned index = 0; index < stage->held_count; index++)
		kept[count++] = stage->held[index];
	if (file >= 0)
		kept[count++] = file;
	dup2(errors, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	leave_job();
	close_all_but(kept, count);
	for (unsigned index = 0; index < count; index++)
		fcntl(kept[index], F_SETFD, 0);
	keep_capabilities();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	execve(arguments[0], (char *const *)arguments, (char *const *)environment);
	dprintf(STDERR_FILENO, "%s", strerror(errno));
	_exit(STATUS_FATAL);
}

static bool send_descriptor(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec byte = { .iov_base = "!", .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

/* Returns -1 when none comes. */
static int receive_descriptor(int socket)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec bytes = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes
	};
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || message.msg_controllen < CMSG_LEN(sizeof fd))
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

static _Noreturn void give_up(int errors, const char *what)
{
	dprintf(errors, "%s: %s", what, strerror(errno));
	_exit(STATUS_FATAL);
}

static uint64_t mount_at(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? 0 : mount_of(fd);
}

static _Noreturn void be_middle(const struct stage *stage, const char *const arguments[], const char *at, int file,
				int socket, int errors)
{
	uint64_t before;
	pid_t program;
	int tree, cloning;

	if (unshare(CLONE_NEWNS) != 0)
		give_up(errors, "own mount namespace");
	before = mount_at(at);
	program = fork();
	if (program < 0)
		give_up(errors, "fork");
	if (program == 0)
		run_program(stage, arguments, file, errors);
	/* fuse2fs ends with 0 also when it could not mount anything. */
	if (wait_for_child(program) != 0 || mount_at(at) == before)
		_exit(STATUS_FATAL);
	tree = (int)syscall(OPEN_TREE, AT_FDCWD, at, TREE_CLONE | O_CLOEXEC);
	cloning = errno;
	/* In any case: a server whose own namespace has the mount would never end. */
	if (umount2(at, MNT_DETACH) != 0)
		give_up(errors, "umount");
	errno = cloning;
	if (tree < 0)
		give_up(errors, "open_tree");
	if (!send_descriptor(socket, tree))
		give_up(errors, "sendmsg");
	_exit(0);
}

/* The last line of what the program said, or nothing. */
static const char *read_complaint(int errors, char *text, size_t size)
{
	ssize_t length = read(errors, text, size - 1);
	char *end;

	text[length > 0 ? length : 0] = '\0';
	for (end = text + strlen(text); end > text && (end[-1] == '\n' || end[-1] == ' '); end--)
		end[-1] = '\0';
	end = strrchr(text, '\n');
	return end ? end + 1 : text;
}

int mount_by_program(const struct stage *stage, const char *const arguments[], const char *at, int file)
{
	int socket[2], errors[2], mount;
	pid_t middle;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket) != 0 || pipe2(errors, O_CLOEXEC | O_NONBLOCK) != 0 ||
	    (middle = fork()) < 0) {
		refuse("starting %s: %s", arguments[0], strerror(errno));
		return -1;
	}
	if (middle == 0) {
		close(socket[0]);
		be_middle(stage, arguments, at, file, socket[1], errors[1]);
	}
	close(socket[1]);
	close(errors[1]);
	mount = receive_descriptor(socket[0]);
	wait_for_child(middle);
	if (mount < 0) {
		char text[2048];
		const char *complaint = read_complaint(errors[0], text, sizeof text);

		refuse("%s: %s", arguments[0], complaint[0] ? complaint : "it failed without a word");
	}
	close(socket[0]);
	close(errors[0]);
	return mount;
}

bool place_mount(int mount, int directory)
{
	bool placed = syscall(MOVE_MOUNT, mount, "", directory, "", FROM_EMPTY_PATH | TO_EMPTY_PATH) == 0;
	int error = errno;

	close(mount);
	errno = error;
	return placed;
}
