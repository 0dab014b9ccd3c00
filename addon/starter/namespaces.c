/*
 * Namespaces, and the maps of ids. A map of more than one's own id is written by newuidmap and newgidmap, which run with
 * the rights of the host: they are forked before the new user namespace, wait in it for a byte, and then run on this pid.
 */
#include "namespaces.h"

#include "fail.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Three numbers, their blanks and the line's end. */
enum { LONGEST_RANGE = 36 };

static bool has_apparmor_restriction(void)
{
	char byte = '0';

	AUTO_CLOSE int fd = open("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &byte, 1) == 1 && byte != '0';
}

/*
 * Why a user namespace may not be used though the kernel has them, for the end of a sentence; errno stays as it is. Ubuntu
 * lets them be created and then has AppArmor refuse every capability in them.
 */
static const char *restriction(void)
{
	int error = errno;
	bool forbidden = (error == EPERM || error == EACCES) && has_apparmor_restriction();

	errno = error;
	if (forbidden)
		return " (AppArmor restricts user namespaces: kernel.apparmor_restrict_unprivileged_userns is set)";
	if (error == ENOSPC || error == EUSERS)
		return " (user.max_user_namespaces is reached)";
	return "";
}

struct mapper {
	const char *program;
	pid_t pid;
	int go;     /* a byte sends it off, end of file sends it home */
	int errors; /* what it says on stderr */
};

static _Noreturn void run_mapper(const char *program, const struct id_map *map, pid_t target, int go, int errors)
{
	static char numbers[1 + 3 * MOST_RANGES][12];
	char *arguments[3 + 3 * MOST_RANGES] = { (char *)program };
	unsigned count = 0;
	char byte;

	snprintf(numbers[count++], sizeof *numbers, "%d", target);
	for (unsigned index = 0; index < map->count; index++) {
		snprintf(numbers[count++], sizeof *numbers, "%u", map->ranges[index].inside);
		snprintf(numbers[count++], sizeof *numbers, "%u", map->ranges[index].outside);
		snprintf(numbers[count++], sizeof *numbers, "%u", map->ranges[index].count);
	}
	for (unsigned index = 0; index < count; index++)
		arguments[index + 1] = numbers[index];
	if (read(go, &byte, 1) != 1)
		_exit(STATUS_FATAL);
	dup2(errors, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	execve(program, arguments, (char *const[]){ NULL });
	dprintf(errors, "%s", strerror(errno));
	_exit(STATUS_FATAL);
}

static struct mapper start_mapper(const char *program, const struct id_map *map)
{
	struct mapper mapper = { .program = program };
	pid_t target = getpid();
	int go[2], errors[2];

	if (pipe2(go, O_CLOEXEC) != 0 || pipe2(errors, O_CLOEXEC) != 0)
		fail("cannot run %s: %s", program, strerror(errno));
	mapper.pid = fork();
	if (mapper.pid < 0)
		fail("cannot run %s: %s", program, strerror(errno));
	if (mapper.pid == 0) {
		close(go[1]);
		run_mapper(program, map, target, go[0], errors[1]);
	}
	close(go[0]);
	close(errors[1]);
	mapper.go = go[1];
	mapper.errors = errors[0];
	return mapper;
}

/* What the program says, on one line. */
static void read_errors(int fd, char *text, size_t size)
{
	size_t length = 0;
	char more[256];
	ssize_t got;

	while ((got = read(fd, more, sizeof more)) > 0 || (got < 0 && errno == EINTR))
		for (ssize_t index = 0; index < got && length + 1 < size; index++)
			text[length++] = more[index] == '\n' ? ' ' : more[index];
	while (length > 0 && text[length - 1] == ' ')
		length--;
	text[length] = '\0';
}

static void finish_mapper(const struct mapper *mapper)
{
	char text[512];
	int status = 0;

	if (write(mapper->go, "!", 1) != 1)
		fail("cannot map ids: %s ended before it began", mapper->program);
	read_errors(mapper->errors, text, sizeof text);
	while (waitpid(mapper->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		fail("cannot map ids: %s: %s", mapper->program, text[0] ? text : "it failed without a word");
	close(mapper->go);
	close(mapper->errors);
}

static void write_text(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail("cannot map ids: %s: %s%s", path, strerror(errno), restriction());
}

/* The kernel wants the whole map in one write. */
static void write_map(const char *path, const struct id_map *map)
{
	char text[MOST_RANGES * LONGEST_RANGE] = "";
	size_t length = 0;

	for (unsigned index = 0; index < map->count; index++)
		length += (size_t)snprintf(text + length, sizeof text - length, "%u %u %u\n", map->ranges[index].inside,
					   map->ranges[index].outside, map->ranges[index].count);
	write_text(path, text);
}

void enter_user_namespace(const struct spec *spec)
{
	struct mapper uids = { 0 }, gids = { 0 };

	if (!(spec->namespaces & CLONE_NEWUSER))
		return;
	if (spec->newuidmap) {
		uids = start_mapper(spec->newuidmap, &spec->uids);
		gids = start_mapper(spec->newgidmap, &spec->gids);
	}
	if (unshare(CLONE_NEWUSER) != 0)
		fail("cannot create a user namespace: %s%s", strerror(errno), restriction());
	if (spec->deny_setgroups)
		write_text("/proc/self/setgroups", "deny");
	if (spec->newuidmap) {
		finish_mapper(&uids);
		finish_mapper(&gids);
	} else {
		write_map("/proc/self/uid_map", &spec->uids);
		write_map("/proc/self/gid_map", &spec->gids);
	}
	debug("entered the user namespace as uid %u, gid %u", getuid(), getgid());
}

void join_network(const struct spec *spec)
{
	if (!spec->network)
		return;
	/* O_NONBLOCK: whatever lies there instead of a namespace must not make the launch wait. */
	AUTO_CLOSE int fd = open(spec->network, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fail("cannot join the network %s: %s", spec->network, strerror(errno));
	if (setns(fd, CLONE_NEWNET) != 0)
		fail("cannot join the network %s: %s", spec->network,
		     errno == EINVAL ? "it is no network namespace" : strerror(errno));
	debug("joined the network %s", spec->network);
}

/* A new net namespace has nothing but its loopback device, which is down; programs expect 127.0.0.1 to answer. */
static void raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo" };

	AUTO_CLOSE int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (control < 0 || ioctl(control, SIOCGIFFLAGS, &request) != 0) {
		debug("no loopback device: %s", strerror(errno));
		return;
	}
	request.ifr_flags |= IFF_UP;
	if (ioctl(control, SIOCSIFFLAGS, &request) != 0)
		debug("the loopback device stays down: %s", strerror(errno));
}

void enter_mount_namespace(const struct spec *spec)
{
	if (!(spec->namespaces & CLONE_NEWNS))
		return;
	if (unshare(CLONE_NEWNS) != 0)
		fail("cannot create a mount namespace: %s%s", strerror(errno), restriction());
	if (mount(NULL, "/", NULL, (spec->private_mounts ? MS_PRIVATE : MS_SLAVE) | MS_REC, NULL) != 0)
		fail("cannot keep mounts from the host: %s", strerror(errno));
	debug("entered the mount namespace");
}

/* The ports of a network of one's own are one's own: a server that is used to port 80 needs no privilege for it. */
static void open_low_ports(void)
{
	static const char path[] = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		debug("ports below 1024 stay closed to users: %s: %s", path, strerror(errno));
}

void enter_other_namespaces(const struct spec *spec)
{
	int others = spec->namespaces & ~(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID);

	if (unshare(others) != 0)
		fail("cannot create namespaces: %s%s", strerror(errno), restriction());
	if (others & CLONE_NEWNET) {
		raise_loopback();
		open_low_ports();
	}
	debug("entered the other namespaces");
}
