/*
 * Finds files for another process. What is opened here is opened as O_PATH: nothing is started, read or waited for by it,
 * and a path is looked up by a thread that has taken the root of the process as its own, so that links, `..` and mounts lead
 * where they lead the process and nowhere else. Magic links of /proc mean the one who looks: only those that name a
 * descriptor of the process are known here, others are refused (ELOOP).
 */
#include "asker.h"

#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int own_root = -1, own_proc = -1;
static struct stat own_ids; /* of our user namespace */

bool note_own_tree(void)
{
	own_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	own_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return own_root >= 0 && own_proc >= 0 && stat("/proc/self/ns/user", &own_ids) == 0;
}

/* After this what was read and opened by pid is known to be of the process: a pid can get another owner. */
static bool still_waits(const struct asker *asker)
{
	return ioctl(asker->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &asker->id) == 0;
}

int open_asker(int listener, const struct seccomp_notif *notice, struct asker *asker)
{
	char path[32];

	*asker = (struct asker){ .listener = listener, .id = notice->id, .pid = (pid_t)notice->pid };
	snprintf(path, sizeof path, "/proc/%u", notice->pid);
	asker->process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (asker->process < 0)
		return -errno;
	return still_waits(asker) ? 0 : -ESRCH;
}

void close_asker(const struct asker *asker)
{
	close_fd(&asker->process);
}

bool has_our_ids(const struct asker *asker)
{
	struct stat ids;

	return fstatat(asker->process, "ns/user", &ids, 0) == 0 && ids.st_ino == own_ids.st_ino &&
	       ids.st_dev == own_ids.st_dev;
}

/* Read to the end of each page by itself: the next one need not be there. */
static ssize_t read_page(const struct asker *asker, __u64 address, char *text, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), left = page - address % page;
	struct iovec to = { .iov_base = text, .iov_len = size < left ? size : left };
	struct iovec from = { .iov_base = (void *)(uintptr_t)address, .iov_len = to.iov_len };

	return process_vm_readv(asker->pid, &to, 1, &from, 1, 0);
}

int read_path(const struct asker *asker, __u64 address, char path[PATH_MAX])
{
	size_t length = 0;

	while (length < PATH_MAX) {
		ssize_t got = read_page(asker, address + length, path + length, PATH_MAX - length);

		if (got <= 0)
			return got < 0 ? -errno : -EFAULT;
		if (memchr(path + length, '\0', (size_t)got))
			return still_waits(asker) ? 0 : -ESRCH;
		length += (size_t)got;
	}
	return -ENAMETOOLONG;
}

/* The number behind a name in the text of proc_pid_status(5), 0 when it is not there. */
static unsigned long long field(const char *text, const char *name, int base)
{
	const char *found = strstr(text, name);

	return found ? strtoull(found + strlen(name), NULL, base) : 0;
}

int read_status(const struct asker *asker, struct asker_status *status)
{
	char text[4096];
	ssize_t length;

	AUTO_CLOSE int fd = openat(asker->process, "status", O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	status->umask = (mode_t)field(text, "\nUmask:\t", 8);
	status->makes_devices = field(text, "\nCapEff:\t", 16) >> CAP_MKNOD & 1;
	return 0;
}

int open_descriptor(const struct asker *asker, int number)
{
	char path[32] = "cwd";
	int fd;

	if (number != AT_FDCWD)
		snprintf(path, sizeof path, "fd/%d", number);
	fd = openat(asker->process, path, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	return number != AT_FDCWD && errno == ENOENT ? -EBADF : -errno;
}

/* The number when the path is one of the usual names of a descriptor, else -1. */
static int named_descriptor(const char *path)
{
	static const char *const names[] = { "/dev/stdin", "/dev/stdout", "/dev/stderr" };
	static const char *const directories[] = { "/proc/self/fd/", "/dev/fd/" };

	for (int number = 0; number < 3; number++)
		if (strcmp(path, names[number]) == 0)
			return number;
	for (size_t index = 0; index < sizeof directories / sizeof *directories; index++) {
		size_t length = strlen(directories[index]);
		size_t digits = strspn(path + length, "0123456789");

		if (strncmp(path, directories[index], length) == 0 && digits > 0 && digits < 8 && !path[length + digits])
			return atoi(path + length);
	}
	return -1;
}

static bool enter_root_of(int root)
{
	return fchdir(root) == 0 && chroot(".") == 0;
}

/* A thread that kept the root would keep its mounts. */
static void enter_own_root(void)
{
	if (!enter_root_of(own_root))
		abort();
}

int name_file(const struct asker *asker, int file, char path[PATH_MAX])
{
	char link[32];
	ssize_t length = -1;

	AUTO_CLOSE int root = openat(asker->process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(link, sizeof link, "self/fd/%d", file);
	if (root >= 0 && enter_root_of(root))
		length = readlinkat(own_proc, link, path, PATH_MAX - 1);
	enter_own_root();
	if (length < 0)
		return -ENOENT;
	path[length] = '\0';
	return 0;
}

static int look_up(int root, int from, const char *path, bool follow)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW),
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	long found = -1;

	if (enter_root_of(root))
		found = syscall(SYS_openat2, from, path, &how, sizeof how);
	if (found < 0)
		found = -errno;
	enter_own_root();
	return (int)found;
}

int find_file(const struct asker *asker, int from, const char *path, bool follow)
{
	int number = follow ? named_descriptor(path) : -1;

	if (number >= 0)
		return open_descriptor(asker, number);
	AUTO_CLOSE int root = openat(asker->process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	if (path[0] == '/')
		return look_up(root, root, path, follow);
	AUTO_CLOSE int directory = open_descriptor(asker, from);
	return directory < 0 ? directory : look_up(root, directory, path, follow);
}
