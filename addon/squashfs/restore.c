/* Owner first (it takes away set-id bits and capabilities), then attributes and mode, times last. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "restore.h"

struct sing_kept_xattr {
	struct sing_kept_xattr *next;
	size_t size;
	const char *name;
	char value[]; /* the name lies behind it */
};

static int keep_xattr(void *user, const char *name, const void *value, size_t size)
{
	struct sing_kept *kept = user;
	struct sing_kept_xattr *xattr = malloc(sizeof *xattr + size + strlen(name) + 1);

	if (xattr == NULL)
		return ENOMEM;
	memcpy(xattr->value, value, size);
	strcpy(xattr->value + size, name);
	xattr->size = size;
	xattr->name = xattr->value + size;
	xattr->next = kept->xattrs;
	kept->xattrs = xattr;
	return 0;
}

int sing_kept_read(struct sing_image *image, const sqfs_inode_generic_t *inode, bool ownership, struct sing_kept *kept)
{
	int error;

	*kept = (struct sing_kept){ .ownership = ownership };
	error = sing_image_stat(image, inode, &kept->stat);
	return error != 0 ? error : sing_image_xattrs(image, inode, keep_xattr, kept);
}

void sing_kept_free(struct sing_kept *kept)
{
	while (kept->xattrs != NULL) {
		struct sing_kept_xattr *xattr = kept->xattrs;

		kept->xattrs = xattr->next;
		free(xattr);
	}
}

/* Ids that have no place in our user namespace are EINVAL, those of others EPERM. */
static bool is_forbidden(int error)
{
	return error == EPERM || error == EINVAL;
}

static void set_times(const struct sing_kept *kept, struct timespec times[2])
{
	times[0] = times[1] = (struct timespec){ .tv_sec = kept->stat.mtime };
}

int sing_kept_apply(const struct sing_kept *kept, int fd)
{
	struct timespec times[2];

	if (kept->ownership && fchown(fd, kept->stat.uid, kept->stat.gid) != 0 && !is_forbidden(errno))
		return errno;
	/* which of them a file system takes, and from whom, is its own affair */
	for (const struct sing_kept_xattr *xattr = kept->xattrs; xattr != NULL; xattr = xattr->next)
		(void)fsetxattr(fd, xattr->name, xattr->value, xattr->size, 0);
	if (fchmod(fd, kept->stat.mode & 07777) != 0)
		return errno;
	set_times(kept, times);
	return futimens(fd, times) != 0 ? errno : 0;
}

/* Extended attributes of what cannot be opened: no call before Linux 6.13 takes a directory and a name. */
static void set_xattrs_at(const struct sing_kept *kept, int directory, const char *name)
{
	char path[sizeof "/proc/self/fd//" + 3 * sizeof(int) + NAME_MAX];

	snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, name);
	for (const struct sing_kept_xattr *xattr = kept->xattrs; xattr != NULL; xattr = xattr->next)
		(void)lsetxattr(path, xattr->name, xattr->value, xattr->size, 0);
}

/* The number is the same on all machines; headers have it since Linux 6.6. */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/*
 * Until fchmodat2 (Linux 6.6) no call changes a mode without following links; the path of a descriptor is one step only.
 * The new call is the second choice, for chroots without /proc: filters of container engines may not know it.
 */
static int change_mode(const struct sing_kept *kept, int directory, const char *name)
{
	char path[sizeof "/proc/self/fd/" + 3 * sizeof(int)];
	mode_t mode = kept->stat.mode & 07777;
	int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (chmod(path, mode) != 0)
		error = errno;
	close(fd);
	if (error == ENOENT && syscall(SYS_fchmodat2, directory, name, mode, AT_SYMLINK_NOFOLLOW) == 0)
		error = 0;
	return error;
}

int sing_kept_apply_at(const struct sing_kept *kept, int directory, const char *name)
{
	struct timespec times[2];
	int error = 0;

	if (kept->ownership && fchownat(directory, name, kept->stat.uid, kept->stat.gid, AT_SYMLINK_NOFOLLOW) != 0 &&
	    !is_forbidden(errno))
		return errno;
	set_xattrs_at(kept, directory, name);
	if (!S_ISLNK(kept->stat.mode))
		error = change_mode(kept, directory, name);
	if (error != 0)
		return error;
	set_times(kept, times);
	return utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) != 0 ? errno : 0;
}
