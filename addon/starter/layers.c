/* Layers, each on a directory of the stage named by its number, and the root that is made of them. */
#include "perform.h"

#include "driver.h"
#include "fail.h"
#include "loop.h"
#include "restrict.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel takes one page of mount options. */
enum { LONGEST_OPTIONS = 4096 };

/* A new directory of the stage. Returns its descriptor, or -1 with a refusal. */
static int make_directory(const struct stage *stage, const char *name)
{
	int fd;

	if (mkdirat(stage->fd, name, 0755) != 0 && errno != EEXIST) {
		refuse("%s: %s", name, strerror(errno));
		return -1;
	}
	fd = openat(stage->fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		refuse("%s: %s", name, strerror(errno));
	return fd;
}

static void layer_name(unsigned number, char name[32])
{
	snprintf(name, 32, "layers/%u", number);
}

int open_layer(const struct stage *stage, unsigned number)
{
	char name[32];

	layer_name(number, name);
	return openat(stage->fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int make_layer(const struct stage *stage, const struct op *op)
{
	char name[32];

	layer_name(op->layer_number, name);
	return make_directory(stage, name);
}

/* `EINVAL` of an old kernel that does not know the subtype is the reason for the second try. */
static bool mount_fuse(int fuse, const char *path)
{
	char options[128];
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_RDONLY;

	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u,allow_other,default_permissions",
		 fuse, getuid(), getgid());
	return mount("sing-squashfs", path, "fuse.squashfs", flags, options) == 0 ||
	       mount("sing-squashfs", path, "fuse", flags, options) == 0;
}

static bool mount_loop(struct input *input, const char *path)
{
	char device[64];
	ssize_t length = readlink(path_of(input->loop).text, device, sizeof device - 1);
	bool mounted;

	if (length < 0)
		return false;
	device[length] = '\0';
	mounted = mount(device, path, "squashfs", MS_NOSUID | MS_NODEV | MS_RDONLY, NULL) == 0;
	if (!mounted)
		debug("the kernel does not mount %s: %s", device, strerror(errno));
	close(input->loop);
	input->loop = -1;
	return mounted;
}

bool perform_squashfs(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_CLOSE int layer = make_layer(stage, op);

	if (layer < 0)
		return false;
	if (input->loop >= 0) {
		if (mount_loop(input, path_of(layer).text))
			return true;
		if (!start_late_server(op, input))
			return false;
	}
	if (!mount_fuse(input->fuse, path_of(layer).text))
		return refuse("mounting it through FUSE: %s (--unsquash unpacks it instead)", strerror(errno));
	close_fd(&input->fuse);
	input->fuse = -1;
	return release_server(input);
}

/* With `noload` the kernel leaves the journal, and so the file, as it is (ext4(5)). */
static bool mount_ext3_device(const struct op *op, int loop, const char *path)
{
	char device[64];
	ssize_t length = readlink(path_of(loop).text, device, sizeof device - 1);
	unsigned long flags = MS_NOSUID | MS_NODEV | (op->writable ? 0 : MS_RDONLY);

	if (length < 0)
		return false;
	device[length] = '\0';
	return mount(device, path, "ext3", flags, op->writable ? NULL : "noload") == 0 ||
	       mount(device, path, "ext4", flags, op->writable ? NULL : "noload") == 0;
}

static bool mount_ext3_by_kernel(const struct op *op, const struct input *input, const char *path)
{
	AUTO_CLOSE int loop = attach_loop(input->file, op->offset, op->size, op->writable);

	if (loop < 0)
		debug("no loop device for %s: %s", op->from, refusal());
	else if (mount_ext3_device(op, loop, path))
		return true;
	else
		debug("the kernel does not mount %s: %s", op->from, strerror(errno));
	return false;
}

/* A name that fuse2fs has no need to look up again, wherever the file lies meanwhile. */
static bool mount_ext3_by_program(const struct stage *stage, const struct op *op, const struct input *input, int layer)
{
	char options[160], rights[64] = ",default_permissions", root[64];
	struct fd_path file = path_of(input->file);
	const char *arguments[] = { op->program, file.text, root, "-o", options, NULL };
	int mounted;

	/* Without default_permissions fuse2fs is the one who checks, and with fakeroot it lets everything pass. */
	if (op->owned)
		snprintf(rights, sizeof rights, ",uid=%u,gid=%u", op->uid, op->gid);
	snprintf(options, sizeof options, "offset=%" PRIu64 ",fakeroot,allow_other%s%s", op->offset, rights,
		 op->writable ? "" : ",ro,norecovery");
	snprintf(root, sizeof root, "%s/root", stage->covered);
	mounted = mount_by_program(stage, arguments, root, input->file);
	if (mounted < 0)
		return false;
	return place_mount(mounted, layer) || refuse("%s", strerror(errno));
}

bool perform_ext3(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_CLOSE int layer = make_layer(stage, op);

	if (layer < 0)
		return false;
	if (op->kernel && mount_ext3_by_kernel(op, input, path_of(layer).text))
		return true;
	if (!op->program)
		return refuse("the kernel does not mount it, and there is no fuse2fs");
	if (!mount_ext3_by_program(stage, op, input, layer))
		return false;
	AUTO_CLOSE int top = open_layer(stage, op->layer_number);
	struct stat status;
	/* Until it is asked for, the owner of the root is uid 0, whom the namespace may not have: nobody could write. */
	if (top < 0 || fstat(top, &status) != 0)
		return refuse("%s", strerror(errno));
	return restrict_mount(top, MS_NOSUID | MS_NODEV | (op->writable ? 0 : MS_RDONLY), false) ||
	       refuse("%s", strerror(errno));
}

bool perform_directory(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_CLOSE int layer = make_layer(stage, op);

	if (input->error)
		return refuse("%s", strerror(input->error));
	if (layer < 0)
		return false;
	/* Recursive, because the mounts below it are locked in a user namespace and may not be left out. */
	if (mount(path_of(input->file).text, path_of(layer).text, NULL, MS_BIND | MS_REC, NULL) != 0)
		return refuse("%s", strerror(errno));
	AUTO_CLOSE int top = open_layer(stage, op->layer_number);
	if (top < 0 || !restrict_mount(top, MS_NOSUID | MS_NODEV, false))
		return refuse("%s", strerror(errno));
	return true;
}

bool perform_memory(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_CLOSE int layer = make_layer(stage, op);
	char options[64] = "mode=0755";

	(void)input;
	if (layer < 0)
		return false;
	if (op->size > 0)
		snprintf(options, sizeof options, "mode=0755,size=%" PRIu64, op->size);
	if (mount("tmpfs", path_of(layer).text, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
		return refuse("%s", strerror(errno));
	return true;
}

bool set_root(struct stage *stage, const char *name)
{
	stage->root = openat(stage->fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (stage->root < 0)
		return refuse("%s", strerror(errno));
	stage->root_mount = mount_of(stage->root);
	return true;
}

/* What takes changes: a layer, or a small directory on the stage so that mount points can be made. */
static void changes_name(const struct op *op, char directory[32])
{
	if (op->upper < 0)
		snprintf(directory, 32, "files/changes");
	else
		layer_name((unsigned)op->upper, directory);
}

/* Make the two directories that an overlay wants there. */
static bool make_upper(struct stage *stage, const struct op *op)
{
	static const char *const parts[] = { "upper", "work" };
	char directory[32];

	changes_name(op, directory);
	AUTO_CLOSE int fd = make_directory(stage, directory);
	if (fd < 0)
		return false;
	for (size_t index = 0; index < sizeof parts / sizeof *parts; index++) {
		struct stat status;

		if (mkdirat(fd, parts[index], 0755) != 0 && errno != EEXIST)
			return refuse("making the directory %s for changes: %s", parts[index], strerror(errno));
		/* A link here would lead changes to wherever the giver of the layer likes. */
		if (fstatat(fd, parts[index], &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(status.st_mode))
			return refuse("%s of the layer that takes changes is no directory", parts[index]);
	}
	return true;
}

static bool refuse_overlay(const struct op *op, int error)
{
	if (error == EPERM && op->userxattr)
		return refuse("%s (in a user namespace it needs kernel 5.11)", strerror(error));
	if (error == EINVAL && op->upper >= 0)
		return refuse("%s (the file system of the upper layer may not be able to take changes)", strerror(error));
	return refuse("%s", strerror(error));
}

int open_lower(const struct stage *stage, const struct lower *lower)
{
	AUTO_CLOSE int layer = open_layer(stage, lower->layer);

	if (layer < 0 || !lower->changes)
		return fcntl(layer, F_DUPFD_CLOEXEC, 3);
	/* A link here would lead to a directory of the host. */
	return openat(layer, "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool check_lower(const struct stage *stage, const struct op *op)
{
	for (unsigned index = 0; index < op->lower_count; index++) {
		AUTO_CLOSE int fd = open_lower(stage, &op->lower[index]);

		if (fd < 0)
			return refuse("a layer holds no changes: upper/: %s", strerror(errno));
	}
	return true;
}

int open_changes(const struct stage *stage, const struct op *op)
{
	char directory[32], name[48];

	changes_name(op, directory);
	snprintf(name, sizeof name, "%s/upper", directory);
	return openat(stage->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Where the layers are, below `base`. */
static bool write_layers(const struct op *op, const char *base, char *options, size_t size)
{
	char directory[32];
	int length;

	changes_name(op, directory);
	length = snprintf(options, size, "upperdir=%s%s/upper,workdir=%s%s/work,lowerdir=", base, directory, base, directory);
	for (unsigned index = 0; index < op->lower_count; index++) {
		char name[32];

		layer_name(op->lower[index].layer, name);
		length += snprintf(options + length, size - (size_t)length, "%s%s%s%s", index ? ":" : "", base, name,
				   op->lower[index].changes ? "/upper" : "");
		if ((size_t)length >= size)
			return refuse("%u layers are too many", op->lower_count);
	}
	return true;
}

static bool mount_kernel_overlay(struct stage *stage, const struct op *op)
{
	char options[LONGEST_OPTIONS] = "userxattr,";
	size_t length = op->userxattr ? strlen(options) : 0;

	/* The names are relative to the stage, which keeps them short. */
	if (!write_layers(op, "", options + length, sizeof options - length))
		return false;
	if (fchdir(stage->fd) != 0)
		return refuse("%s", strerror(errno));
	if (mount("overlay", "root", "overlay", MS_NOSUID | MS_NODEV, options) != 0)
		return refuse_overlay(op, errno);
	return set_root(stage, "root");
}

/*
 * Who put changes there is told by work/work: the kernel makes it without any permission. Where the kernel was here before,
 * fuse-overlayfs leaves it like that, and nobody could tell that its marks lie among the changes from now on.
 */
static void note_fuse_overlay(const struct stage *stage, const struct op *op)
{
	char name[64], directory[32];

	changes_name(op, directory);
	snprintf(name, sizeof name, "%s/work/work", directory);
	AUTO_CLOSE int work = openat(stage->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (work >= 0 && chmod(path_of(work).text, 0700) != 0)
		debug("%s: %s", name, strerror(errno));
}

static bool mount_fuse_overlay(struct stage *stage, const struct op *op)
{
	/* With access control lists (the default) a layer without them makes every look at the files of others fail. */
	char options[LONGEST_OPTIONS] = "allow_other,noacl,", base[64], root[64];
	const char *arguments[] = { op->program, "-o", options, root, NULL };
	size_t length = strlen(options);
	int mounted;

	snprintf(base, sizeof base, "%s/", stage->covered);
	snprintf(root, sizeof root, "%s/root", stage->covered);
	if (!write_layers(op, base, options + length, sizeof options - length))
		return false;
	note_fuse_overlay(stage, op);
	mounted = mount_by_program(stage, arguments, root, -1);
	if (mounted < 0)
		return false;
	AUTO_CLOSE int place = openat(stage->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place < 0 || !place_mount(mounted, place) || !set_root(stage, "root"))
		return refuse("%s", strerror(errno));
	return restrict_mount(stage->root, MS_NOSUID | MS_NODEV, false) || refuse("%s", strerror(errno));
}

static bool mount_overlay(struct stage *stage, const struct op *op)
{
	return op->program ? mount_fuse_overlay(stage, op) : mount_kernel_overlay(stage, op);
}

bool perform_overlay(struct stage *stage, const struct op *op, struct input *input)
{
	(void)input;
	return make_upper(stage, op) && check_lower(stage, op) && mount_overlay(stage, op);
}

bool renew_overlay(struct stage *stage, const struct op *op)
{
	close(stage->root);
	stage->root = -1;
	if (fchdir(stage->fd) != 0 || umount2("root", 0) != 0)
		return refuse("%s", strerror(errno));
	return mount_overlay(stage, op);
}

bool perform_layer_root(struct stage *stage, const struct op *op, struct input *input)
{
	char name[32];

	(void)input;
	layer_name(op->layer_number, name);
	return set_root(stage, name);
}
