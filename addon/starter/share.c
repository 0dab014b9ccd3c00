/*
 * The group's file lies in a directory of the user's: one line for each process that has been in the container, "pid start
 * user-namespace mount-namespace". Its lock is the order of the group:
 *
 *   first:  lock, no living line -> write own line, make the container ................ exec (close-on-exec: unlock)
 *   others: lock (waits) ......................................... a living line -> open its namespaces, write own line,
 *                                                                  unlock, enter
 *
 * A first one that dies lets go of the lock as well, and its line is dead: the next makes the container. Nobody can wait
 * for somebody who is not there.
 */
#include "share.h"

#include "fail.h"
#include "stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* More lines than a node has ranks; bytes behind them are not believed. */
enum { LONGEST_FILE = 1 << 16, LONGEST_LINE = 96 };

struct member {
	pid_t pid;
	uint64_t started, user, mount;
};

/* A directory that nobody else can write to or has laid there. */
static int open_meeting_place(const char *path)
{
	struct stat status;
	int fd;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return refuse("%s: %s", path, strerror(errno)), -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0)
		return refuse("%s: %s", path, strerror(errno)), -1;
	if (status.st_uid != geteuid() || status.st_mode & 077) {
		close(fd);
		return refuse("%s is not a directory of yours alone", path), -1;
	}
	return fd;
}

/* Open and lock a file; another process may have removed it before the lock was ours. */
static int lock_file(int directory, const char *name)
{
	struct stat status;

	for (;;) {
		int fd = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		int result;

		if (fd < 0)
			return refuse("%s: %s", name, strerror(errno)), -1;
		while ((result = flock(fd, LOCK_EX)) != 0 && errno == EINTR)
			;
		if (result != 0 || fstat(fd, &status) != 0) {
			close(fd);
			return refuse("%s: %s", name, strerror(errno)), -1;
		}
		if (status.st_nlink > 0)
			return fd;
		close(fd);
	}
}

/* The text of a group's file, allocated. */
static char *read_members(int fd)
{
	char *text = malloc(LONGEST_FILE + 1);
	ssize_t length = text ? pread(fd, text, LONGEST_FILE, 0) : -1;

	if (length < 0) {
		free(text);
		return NULL;
	}
	text[length] = '\0';
	return text;
}

/* Take the next line; false at the end. What is no member stays a member that does not live. */
static bool next_member(char **text, struct member *member)
{
	char *line = strsep(text, "\n");

	*member = (struct member){ 0 };
	if (!line)
		return false;
	if (sscanf(line, "%d %" SCNu64 " %" SCNu64 " %" SCNu64, &member->pid, &member->started, &member->user,
		   &member->mount) != 4 ||
	    member->pid <= 0 || member->started == 0)
		member->pid = 0;
	return true;
}

static bool is_alive(const struct member *member)
{
	char name[16];

	snprintf(name, sizeof name, "%d", member->pid);
	return member->pid > 0 && start_time(name) == member->started;
}

/* A member may have gone on into namespaces of its own since. */
static bool open_member(const struct member *member, struct container *container)
{
	if (member->pid <= 0 || !open_container(member->pid, member->started, container))
		return false;
	if (user_namespace_of(container) == member->user && mount_namespace_of(container) == member->mount)
		return true;
	close_container(container);
	return refuse("process %d has left it", member->pid);
}

static bool find_member(int fd, struct container *container, struct member *found)
{
	char *text = read_members(fd), *rest = text;

	while (next_member(&rest, found))
		if (open_member(found, container)) {
			free(text);
			return true;
		}
	free(text);
	return false;
}

static uint64_t own_inode(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? status.st_ino : 0;
}

static bool append(int fd, const struct member *member)
{
	char line[LONGEST_LINE];
	int length = snprintf(line, sizeof line, "%d %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", member->pid, member->started,
			      member->user, member->mount);

	return pwrite(fd, line, (size_t)length, lseek(fd, 0, SEEK_END)) == length;
}

/* A script may start thousands of short commands in one container. */
static void forget_dead_members(int fd)
{
	char *text = read_members(fd), *rest = text;
	struct member member;

	if (!text || ftruncate(fd, 0) != 0) {
		free(text);
		return;
	}
	while (next_member(&rest, &member))
		if (is_alive(&member) && !append(fd, &member))
			break;
	free(text);
}

static bool join_members(int fd, uint64_t user, uint64_t mount)
{
	const struct member self = { getpid(), start_time("self"), user, mount };

	if (lseek(fd, 0, SEEK_END) > LONGEST_FILE / 4)
		forget_dead_members(fd);
	return append(fd, &self);
}

static bool has_living_member(int fd)
{
	char *text = read_members(fd), *rest = text;
	struct member member;
	bool alive = !text;

	while (!alive && next_member(&rest, &member))
		alive = is_alive(&member);
	free(text);
	return alive;
}

/* Files of groups that have ended, which nobody could remove at their end. */
static void sweep(int directory, const char *own)
{
	int copy = dup(directory);
	DIR *files = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!files)
		return;
	while ((entry = readdir(files))) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, own) == 0)
			continue;
		AUTO_CLOSE int fd = openat(directory, entry->d_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && !has_living_member(fd))
			unlinkat(directory, entry->d_name, 0);
	}
	closedir(files);
}

/* The namespaces are made later, and the others read the line when the lock is let go: see announce_shared. */
static int own_file = -1;

bool find_shared(const struct spec *spec, struct container *container)
{
	struct member member;

	AUTO_CLOSE int directory = open_meeting_place(spec->meeting_place);
	int fd = directory < 0 ? -1 : lock_file(directory, spec->group);
	if (fd < 0) {
		warn("the container is not shared: %s", refusal());
		return false;
	}
	if (find_member(fd, container, &member)) {
		if (!join_members(fd, member.user, member.mount))
			debug("nobody will come in through this process: %s", strerror(errno));
		close(fd);
		return true;
	}
	sweep(directory, spec->group);
	own_file = fd;
	return false;
}

void announce_shared(void)
{
	if (own_file < 0)
		return;
	if (ftruncate(own_file, 0) != 0 ||
	    !join_members(own_file, own_inode("/proc/self/ns/user"), own_inode("/proc/self/ns/mnt")))
		debug("the container is not shared: %s", strerror(errno));
}
