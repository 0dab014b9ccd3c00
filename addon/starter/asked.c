/*
 * Changes of owners and devices. What the kernel lets root of one id do is done first: it refuses what it refuses to all (a
 * file system that is read only, a file that may not be changed), and clears setuid bits and capabilities. Then
 * comes the note.
 */
#include "asked.h"

#include "ownership.h"
#include "stage.h"
#include "successor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* An id that says: leave it as it is. */
enum { SAME = -1 };

/* Calls of x32 have the numbers of x86_64 with this bit. */
enum { X32_BIT = 0x40000000 };

static bool owners_are_noted;

void note_owners(bool noted)
{
	owners_are_noted = noted;
}

static int change_owner(int file, uid_t uid, gid_t gid)
{
	struct ownership ownership;
	struct stat status;

	if (file < 0)
		return file;
	if (fstat(file, &status) != 0)
		return -errno;
	ownership = read_ownership(file, status.st_mode); /* the next line may remove it */
	if (fchownat(file, "", uid == (uid_t)SAME ? uid : geteuid(), gid == (gid_t)SAME ? gid : getegid(), AT_EMPTY_PATH) != 0)
		/* Files of others are not in the image: those of the machine, bound into it. */
		return errno == EPERM && status.st_uid != geteuid() ? 0 : -errno;
	if (uid != (uid_t)SAME)
		ownership.uid = uid;
	if (gid != (gid_t)SAME)
		ownership.gid = gid;
	return write_ownership(file, status.st_mode, &ownership);
}

static int perform_fchown(const struct asker *asker, int number, uid_t uid, gid_t gid)
{
	AUTO_CLOSE int file = number < 0 ? -EBADF : open_descriptor(asker, number);
	struct ownership followed;

	if (file >= 0 && uid == 0 && gid == 0 && follows_another(asker, file, &followed))
		return change_owner(file, followed.uid, followed.gid);
	return change_owner(file, uid, gid);
}

static int perform_fchownat(const struct asker *asker, int from, __u64 address, uid_t uid, gid_t gid, int flags)
{
	char path[PATH_MAX];
	int error;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	error = read_path(asker, address, path);
	if (error)
		return error;
	AUTO_CLOSE int file = path[0] == '\0' && flags & AT_EMPTY_PATH
				      ? open_descriptor(asker, from)
				      : find_file(asker, from, path, !(flags & AT_SYMLINK_NOFOLLOW));
	return change_owner(file, uid, gid);
}

/* Cut a path before its last name. Returns the name, with the slashes behind it, or NULL when there is none. */
static const char *cut_name(char path[PATH_MAX], char name[PATH_MAX])
{
	char *at = path + strlen(path);

	while (at > path && at[-1] == '/')
		at--;
	while (at > path && at[-1] != '/')
		at--;
	strcpy(name, at);
	strcpy(at, at == path ? "." : "");
	return name[0] == '/' ? NULL : name;
}

static int note_device(int parent, const char *name, mode_t type, dev_t device)
{
	struct ownership ownership = {
		.device = S_ISCHR(type) ? 'c' : 'b', .major = major(device), .minor = minor(device),
		.ownerless = !owners_are_noted,
	};
	struct stat status;

	AUTO_CLOSE int file = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0 || fstat(file, &status) != 0)
		return -errno;
	/* It is no more what was made just now: somebody else's change of it came later, and counts. */
	if (!S_ISREG(status.st_mode) || status.st_size > 0)
		return 0;
	return write_ownership(file, status.st_mode, &ownership);
}

/* Nobody can make devices in a user namespace: an empty file is one in the image. */
static int perform_mknodat(const struct asker *asker, int from, __u64 address, mode_t mode, dev_t device)
{
	char path[PATH_MAX], text[PATH_MAX];
	struct asker_status status;
	const char *name;
	int error;

	error = read_status(asker, &status);
	if (error)
		return error;
	/* Everybody may make whiteouts, and who could make no device on the machine makes none here. */
	if ((S_ISCHR(mode) && device == 0) || !status.makes_devices)
		return GO_ON;
	error = read_path(asker, address, path);
	if (error)
		return error;
	if (path[0] == '\0')
		return -ENOENT;
	name = cut_name(path, text);
	if (!name)
		return -EEXIST;
	AUTO_CLOSE int parent = find_file(asker, from, path, true);
	if (parent < 0)
		return parent;
	umask(status.umask); /* of this thread (CLONE_FS) */
	if (mknodat(parent, name, S_IFREG | (mode & 07777), 0) != 0)
		return -errno;
	error = note_device(parent, name, mode, device);
	if (error)
		unlinkat(parent, name, 0);
	return error;
}

int perform_call(const struct asker *asker, const struct seccomp_data *call)
{
	const __u64 *args = call->args;

	switch (call->nr & ~X32_BIT) {
	case SYS_fchown:
		return perform_fchown(asker, (int)args[0], (uid_t)args[1], (gid_t)args[2]);
	case SYS_fchownat:
		return perform_fchownat(asker, (int)args[0], args[1], (uid_t)args[2], (gid_t)args[3], (int)args[4]);
	case SYS_mknodat:
		return perform_mknodat(asker, (int)args[0], args[1], (mode_t)args[2], (dev_t)(unsigned)args[3]);
#ifdef SYS_chown /* younger architectures have only the others */
	case SYS_chown:
		return perform_fchownat(asker, AT_FDCWD, args[0], (uid_t)args[1], (gid_t)args[2], 0);
	case SYS_lchown:
		return perform_fchownat(asker, AT_FDCWD, args[0], (uid_t)args[1], (gid_t)args[2], AT_SYMLINK_NOFOLLOW);
	case SYS_mknod:
		return perform_mknodat(asker, AT_FDCWD, args[0], (mode_t)args[1], (dev_t)(unsigned)args[2]);
#endif
	default:
		return GO_ON;
	}
}
