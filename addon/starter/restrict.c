/* Adds mount flags: by mount_setattr(2) from kernel 5.12 on, else by remounting with all flags read and given again. */
#include "restrict.h"

#include "fail.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every architecture; older C libraries do not have them. */
enum { MOUNT_SETATTR = 442, ATTR_RDONLY = 1, ATTR_NOSUID = 2, ATTR_NODEV = 4, WHOLE_TREE = 0x8000 };

struct attributes {
	uint64_t set, clear, propagation, user_namespace;
};

static bool add_attributes(int fd, unsigned long flags, bool below)
{
	struct attributes attributes = {
		.set = (flags & MS_RDONLY ? ATTR_RDONLY : 0) | (flags & MS_NOSUID ? ATTR_NOSUID : 0) |
		       (flags & MS_NODEV ? ATTR_NODEV : 0),
	};

	return syscall(MOUNT_SETATTR, fd, "", AT_EMPTY_PATH | (below ? WHOLE_TREE : 0), &attributes,
		       sizeof attributes) == 0;
}

/* The flags of a mount as mount(2) wants them; access times are kept by the kernel when none is given. */
static unsigned long flags_of(const struct statvfs *status)
{
	return (status->f_flag & ST_RDONLY ? MS_RDONLY : 0) | (status->f_flag & ST_NOSUID ? MS_NOSUID : 0) |
	       (status->f_flag & ST_NODEV ? MS_NODEV : 0) | (status->f_flag & ST_NOEXEC ? MS_NOEXEC : 0);
}

static bool remount(const char *path, unsigned long flags)
{
	struct statvfs status;

	if (statvfs(path, &status) != 0)
		return false;
	return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags | flags_of(&status), NULL) == 0;
}

/* Octal escapes of mountinfo (proc(5)) back into characters, in place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		char digits[4] = { 0 };

		if (from[0] == '\\' && strlen(from) >= 4) {
			memcpy(digits, from + 1, 3);
			*to = (char)strtol(digits, NULL, 8);
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* Remount whatever lies below `top`. A mount that cannot be changed, as some of the kernel's own, stays as it is. */
static void remount_below(const char *top, unsigned long flags)
{
	size_t length = strlen(top), capacity = 0;
	FILE *list = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;

	while (list && getline(&line, &capacity, list) > 0) {
		char *save, *point = strtok_r(line, " ", &save);

		for (int field = 1; point && field < 5; field++)
			point = strtok_r(NULL, " ", &save);
		if (!point)
			continue;
		unescape(point);
		if (strncmp(point, top, length) == 0 && point[length] == '/' && !remount(point, flags))
			debug("%s stays as it is: %s", point, strerror(errno));
	}
	free(line);
	if (list)
		fclose(list);
}

bool restrict_mount(int fd, unsigned long flags, bool below)
{
	char top[4096];
	ssize_t length;

	if (add_attributes(fd, flags, below))
		return true;
	if (!remount(path_of(fd).text, flags))
		return false;
	if (!below)
		return true;
	length = readlink(path_of(fd).text, top, sizeof top - 1);
	if (length < 0)
		return false;
	top[length] = '\0';
	remount_below(top, flags);
	return true;
}

bool relax_mount(int fd)
{
	struct statvfs status;

	if (fstatvfs(fd, &status) != 0)
		return false;
	return mount(NULL, path_of(fd).text, NULL, MS_REMOUNT | MS_BIND | (flags_of(&status) & ~(unsigned long)MS_NOSUID),
		     NULL) == 0;
}
