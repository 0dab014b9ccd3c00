/*
 * Root of a namespace with one id cannot give files away, and with many it cannot make devices. Calls that try wait in the kernel (SECCOMP_RET_USER_NOTIF, seccomp(2))
 * until this process has noted what was asked for, and has answered:
 *
 *   starter ----fork----> middle ----fork----> recorder       session of its own, mount namespace of the host
 *      |                    `-> ends at once
 *      |-- installs the filter -- its listener --> checks that it can work -- 0 or errno --> goes on
 *      `-> becomes the payload                     answers, until the last process with the filter is gone
 */
#include "recorder.h"

#include "asked.h"
#include "fail.h"
#include "passage.h"
#include "process.h"
#include "security.h"
#include "stage.h"
#include "supervise.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int line = -1; /* to the recorder */

/* Since 5.9, when the youngest of these came, a listener also tells its end. */
static bool has_kernel_support(int listener)
{
	errno = 0;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, NULL);
	if (errno == EFAULT)
		return true;
	errno = ENOSYS;
	return false;
}

/* Yama can forbid everybody to look into other processes (kernel.yama.ptrace_scope 3): the starter is one. */
static bool may_read_others(void)
{
	struct ucred starter;
	socklen_t size = sizeof starter;
	char byte;
	struct iovec to = { .iov_base = &byte, .iov_len = 1 };
	struct iovec from = { .iov_base = &line, .iov_len = 1 };

	return getsockopt(line, SOL_SOCKET, SO_PEERCRED, &starter, &size) == 0 &&
	       process_vm_readv(starter.pid, &to, 1, &from, 1, 0) == 1;
}

/* Nothing of the caller's stays open: who reads the output of a build waits for its end. */
static _Noreturn void be_recorder(enum filter filter, int argc, char **argv)
{
	int listener, error = 0;

	leave_job();
	dup2(STDIN_FILENO, STDOUT_FILENO);
	dup2(STDIN_FILENO, STDERR_FILENO);
	close_all_but(&line, 1);
	rename_process("sing-recorder", argc, argv);
	listener = receive_descriptor(line);
	if (listener < 0)
		_exit(0);
	if (!has_kernel_support(listener) || !may_read_others() || !note_own_tree())
		error = errno;
	if (write(line, &error, sizeof error) != sizeof error || error)
		_exit(STATUS_FATAL);
	close(line);
	note_owners(filter == FILTER_RECORD);
	record_calls(listener);
}

void start_recorder(const struct spec *spec, int argc, char **argv)
{
	int ends[2];
	pid_t middle;

	if (!is_recording(spec->filter))
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		fail("cannot start the recorder of owners: %s", strerror(errno));
	middle = fork();
	if (middle < 0)
		fail("cannot start the recorder of owners: %s", strerror(errno));
	if (middle == 0) {
		close(ends[0]);
		line = ends[1];
		if (fork() == 0)
			be_recorder(spec->filter, argc, argv);
		_exit(0);
	}
	close(ends[1]);
	line = ends[0];
	wait_for_child(middle);
}

/* False with errno. */
static bool hand_over(int listener)
{
	int error = ENOTCONN;

	if (!send_descriptor(line, listener) || read(line, &error, sizeof error) != sizeof error)
		return false;
	errno = error;
	return error == 0;
}

/* What is left where nothing can be recorded. */
static void install_forgetful_filter(enum filter filter)
{
	bool owners = filter == FILTER_RECORD;

	warn("%s are not recorded%s: %s", owners ? "owners" : "devices",
	     owners ? ", all files of the image will be root's" : ", the image will have none that scripts make",
	     errno == EBUSY ? "another build around this one records" : strerror(errno));
	/* On top of the other: an answer of a filter goes before one that has to be waited for. */
	if (!install_filter(owners ? FILTER_FAKEROOT : FILTER_DEVICES))
		fail("cannot install the system call filter: %s", strerror(errno));
}

void install_recording_filter(enum filter filter)
{
	AUTO_CLOSE int listener = install_listening_filter(filter);

	if (listener < 0 || !hand_over(listener))
		install_forgetful_filter(filter);
	close(line);
}
