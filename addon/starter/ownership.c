/*
 * Notes that the kernel carries along by itself, through renames, hard links and copies to the upper layer of an overlay:
 *
 *   files, directories           user.sing.stat = `UID:GID`, or `UID:GID:c:MAJOR:MINOR` (b for a block device), or `c:MAJOR:MINOR`
 *                                where the owner is real
 *   links, pipes, sockets        security.capability, because these can have no attributes of users (xattr(7)). It means nothing
 *                                there, and is the one attribute that root of a user namespace may set: permitted = { UID, GID },
 *                                inheritable = { "sing", "sing" }
 *
 * docs/fakeroot.md describes them for those who read.
 */
#include "ownership.h"

#include "stage.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static const char own_name[] = "user.sing.stat";
static const char other_name[] = "security.capability";

enum { MARK = 0x676e6973, LONGEST = 64 };

static bool takes_own(mode_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode);
}

static bool takes_other(mode_t mode)
{
	return S_ISLNK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

static void parse(const char *text, struct ownership *ownership)
{
	struct ownership found = { .noted = true };
	int fields = sscanf(text, "%u:%u:%c:%u:%u", &found.uid, &found.gid, &found.device, &found.major, &found.minor);

	if (fields == 0)
		fields = 2 + sscanf(text, "%c:%u:%u", &found.device, &found.major, &found.minor);
	if ((fields == 2 && !found.device) || (fields == 5 && (found.device == 'c' || found.device == 'b')))
		*ownership = found;
}

/* Both architectures are little-endian, as the attribute is. */
static void take(const struct vfs_cap_data *data, struct ownership *ownership)
{
	if (data->data[0].inheritable == MARK && data->data[1].inheritable == MARK)
		*ownership = (struct ownership){
			.uid = data->data[0].permitted, .gid = data->data[1].permitted, .noted = true
		};
}

struct ownership read_ownership(int file, mode_t mode)
{
	struct ownership ownership = { .noted = false };
	struct fd_path path = path_of(file);
	struct vfs_ns_cap_data data;
	char text[LONGEST + 1];

	if (takes_own(mode)) {
		ssize_t length = getxattr(path.text, own_name, text, LONGEST);

		text[length < 0 ? 0 : length] = '\0';
		parse(text, &ownership);
	} else if (takes_other(mode)) {
		if (getxattr(path.text, other_name, &data, sizeof data) >= (ssize_t)sizeof(struct vfs_cap_data))
			take((const struct vfs_cap_data *)&data, &ownership);
	}
	return ownership;
}

static int write_own(const char *path, const struct ownership *ownership)
{
	char text[LONGEST];
	int length = 0;

	if (!ownership->ownerless)
		length = snprintf(text, sizeof text, "%u:%u%s", ownership->uid, ownership->gid, ownership->device ? ":" : "");
	if (ownership->device)
		length += snprintf(text + length, sizeof text - (size_t)length, "%c:%u:%u", ownership->device,
				   ownership->major, ownership->minor);
	return setxattr(path, own_name, text, (size_t)length, 0);
}

static int write_other(const char *path, const struct ownership *ownership)
{
	const struct vfs_cap_data data = {
		.magic_etc = VFS_CAP_REVISION_2,
		.data = { { ownership->uid, MARK }, { ownership->gid, MARK } },
	};

	return setxattr(path, other_name, &data, sizeof data, 0);
}

int write_ownership(int file, mode_t mode, const struct ownership *ownership)
{
	bool plain = ownership->uid == 0 && ownership->gid == 0 && !ownership->device;
	struct fd_path path = path_of(file);
	int result;

	if ((plain && !ownership->noted) || !(takes_own(mode) || takes_other(mode)))
		return 0;
	if (plain)
		result = removexattr(path.text, takes_own(mode) ? own_name : other_name);
	else
		result = takes_own(mode) ? write_own(path.text, ownership) : write_other(path.text, ownership);
	/* EPERM: a file system of the kernel's, like proc. ENODATA: changing the owner has removed it already. */
	return result == 0 || errno == ENOTSUP || errno == EPERM || errno == ENODATA ? 0 : -errno;
}
