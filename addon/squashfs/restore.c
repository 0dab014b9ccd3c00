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

#include "mark.h"
#include "record.h"
#include "restore.h"

struct sing_kept_xattr {
	struct sing_kept_xattr *next;
	size_t size;
	const char *name;
	char value[]; /* the name lies behind it */
};

static int add_xattr(struct sing_kept *kept, const char *name, const void *value, size_t size)
{
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

struct reading {
	struct sing_kept *kept;
	struct sing_keeping keeping;
	const char *note; /* the name of the attribute that is ours to write, or NULL */
};

static int keep_xattr(void *user, const char *name, const void *value, size_t size)
{
	const struct reading *reading = user;
	const struct sing_keeping *keeping = &reading->keeping;

	if (keeping->stacked && sing_is_overlay_mark(name))
		return 0;
	if ((keeping->stacked || keeping->notes) && strcmp(name, SING_RECORD) == 0)
		return 0;
	if (reading->note != NULL && strcmp(name, reading->note) == 0)
		return 0;
	return add_xattr(reading->kept, name, value, size);
}

bool sing_kept_is_noted_device(const struct sing_kept *kept, struct sing_keeping keeping)
{
	const struct sing_stat *stat = &kept->stat;

	if (!keeping.notes || !(S_ISCHR(stat->mode) || S_ISBLK(stat->mode)))
		return false;
	return S_ISBLK(stat->mode) || stat->major != 0 || stat->minor != 0;
}

/* The kind of file that the note lies on, or 0 when none is needed. */
static mode_t noted_mode(const struct sing_kept *kept, struct sing_keeping keeping)
{
	if (sing_kept_is_noted_device(kept, keeping))
		return S_IFREG;
	return keeping.notes && (kept->stat.uid != 0 || kept->stat.gid != 0) ? kept->stat.mode : 0;
}

static int add_note(struct sing_kept *kept, mode_t mode)
{
	const struct sing_stat *stat = &kept->stat;
	struct sing_record record = { .uid = stat->uid, .gid = stat->gid };
	char value[SING_RECORD_ROOM];

	if (S_ISCHR(stat->mode) || S_ISBLK(stat->mode)) {
		record.type = stat->mode & S_IFMT;
		record.major = stat->major;
		record.minor = stat->minor;
	}
	return add_xattr(kept, sing_record_name(mode), value, sing_record_write(mode, &record, value));
}

int sing_kept_read(struct sing_image *image, const sqfs_inode_generic_t *inode, struct sing_keeping keeping,
		   struct sing_kept *kept)
{
	struct reading reading = { .kept = kept, .keeping = keeping };
	mode_t mode;
	int error;

	*kept = (struct sing_kept){ .ownership = keeping.ownership && !keeping.notes };
	error = sing_image_stat(image, inode, &kept->stat);
	if (error != 0)
		return error;
	mode = noted_mode(kept, keeping);
	reading.note = mode == 0 ? NULL : sing_record_name(mode);
	error = sing_image_xattrs(image, inode, keep_xattr, &reading);
	return error == 0 && reading.note != NULL ? add_note(kept, mode) : error;
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
