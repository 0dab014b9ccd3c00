/*
 * Enters the namespaces of a running process. Everything is opened through one descriptor of its /proc directory, which
 * goes blank when the process ends: nobody who gets its pid afterwards can be taken for it.
 */
#include "join.h"

#include "fail.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { USER, MOUNT = NAMESPACE_KINDS - 2, PID };

/* In the order of entering: the user namespace first, which gives the right to enter the others. */
static const struct {
	const char *link, *own;
	int flag;
} kinds[NAMESPACE_KINDS] = {
	[USER] = { "ns/user", "/proc/self/ns/user", CLONE_NEWUSER },
	{ "ns/cgroup", "/proc/self/ns/cgroup", CLONE_NEWCGROUP },
	{ "ns/ipc", "/proc/self/ns/ipc", CLONE_NEWIPC },
	{ "ns/uts", "/proc/self/ns/uts", CLONE_NEWUTS },
	{ "ns/net", "/proc/self/ns/net", CLONE_NEWNET },
	[MOUNT] = { "ns/mnt", "/proc/self/ns/mnt", CLONE_NEWNS },
	[PID] = { "ns/pid", "/proc/self/ns/pid", CLONE_NEWPID },
};

/* proc_pid_stat(5), fields 3 and 22: behind the name, which may hold anything. */
static uint64_t read_start(int stat)
{
	char text[1024];
	ssize_t length = read(stat, text, sizeof text - 1);
	char *field;

	if (length <= 0)
		return 0;
	text[length] = '\0';
	field = strrchr(text, ')');
	if (!field || field[1] != ' ' || field[2] == 'Z' || field[2] == 'X')
		return 0;
	for (unsigned number = 2; field && number < 22; number++)
		field = strchr(field + 1, ' ');
	return field ? strtoull(field + 1, NULL, 10) : 0;
}

static uint64_t start_time_at(int process)
{
	AUTO_CLOSE int stat = openat(process, "stat", O_RDONLY | O_CLOEXEC);

	return stat < 0 ? 0 : read_start(stat);
}

static int open_process(const char *pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%s", pid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

uint64_t start_time(const char *pid)
{
	AUTO_CLOSE int process = open_process(pid);

	return process < 0 ? 0 : start_time_at(process);
}

/* Kernels may lack a kind of namespace; what neither of us has is the same. */
static bool open_namespace(int process, unsigned kind, int *fd)
{
	struct stat own, theirs;

	if (stat(kinds[kind].own, &own) != 0)
		return true;
	*fd = openat(process, kinds[kind].link, O_RDONLY | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &theirs) != 0)
		return false;
	if (theirs.st_dev == own.st_dev && theirs.st_ino == own.st_ino) {
		close(*fd);
		*fd = -1;
	}
	return true;
}

bool open_container(pid_t pid, uint64_t started, struct container *container)
{
	char name[16];

	for (unsigned kind = 0; kind < NAMESPACE_KINDS; kind++)
		container->fds[kind] = -1;
	snprintf(name, sizeof name, "%d", pid);
	AUTO_CLOSE int process = open_process(name);
	if (process < 0 || start_time_at(process) != started)
		return refuse("process %d, which it was, has ended", pid);
	for (unsigned kind = 0; kind < NAMESPACE_KINDS; kind++) {
		if (!open_namespace(process, kind, &container->fds[kind])) {
			refuse("process %d: %s: %s", pid, kinds[kind].link, strerror(errno));
			close_container(container);
			return false;
		}
	}
	return true;
}

static uint64_t inode_of(int fd)
{
	struct stat status;

	return fd >= 0 && fstat(fd, &status) == 0 ? status.st_ino : 0;
}

uint64_t user_namespace_of(const struct container *container)
{
	return inode_of(container->fds[USER]);
}

uint64_t mount_namespace_of(const struct container *container)
{
	return inode_of(container->fds[MOUNT]);
}

bool enter_container(const struct container *container)
{
	for (unsigned kind = 0; kind < NAMESPACE_KINDS; kind++)
		if (container->fds[kind] >= 0 && setns(container->fds[kind], kinds[kind].flag) != 0)
			fail("cannot enter the container: %s: %s", kinds[kind].link, strerror(errno));
	debug("entered the container as uid %u, gid %u", getuid(), getgid());
	close_container(container);
	return container->fds[PID] >= 0;
}

void close_container(const struct container *container)
{
	for (unsigned kind = 0; kind < NAMESPACE_KINDS; kind++)
		close_fd(&container->fds[kind]);
}
