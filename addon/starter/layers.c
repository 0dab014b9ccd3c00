/* Layers, each on a directory of the stage named by its number, and the root that is made of them. */
#include "perform.h"

#include "fail.h"
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
		return refuse("mounting it through FUSE: %s", strerror(errno));
	close_fd(&input->fuse);
	input->fuse = -1;
	return release_server(input);
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

/* From here on places can be resolved. */
static bool set_root(struct stage *stage, const char *name)
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

int open_changes(const struct stage *stage, const struct op *op)
{
	char directory[32], name[48];

	changes_name(op, directory);
	snprintf(name, sizeof name, "%s/upper", directory);
	return openat(stage->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool mount_overlay(struct stage *stage, const struct op *op)
{
	char options[LONGEST_OPTIONS], directory[32];
	int length;

	changes_name(op, directory);
	length = snprintf(options, sizeof options, "%supperdir=%s/upper,workdir=%s/work,lowerdir=",
			  op->userxattr ? "userxattr," : "", directory, directory);
	for (unsigned index = 0; index < op->lower_count; index++) {
		char name[32];

		layer_name(op->lower[index], name);
		length += snprintf(options + length, sizeof options - (size_t)length, "%s%s", index ? ":" : "", name);
		if ((size_t)length >= sizeof options)
			return refuse("%u layers are too many", op->lower_count);
	}
	/* The names are relative to the stage, which keeps them short. */
	if (fchdir(stage->fd) != 0)
		return refuse("%s", strerror(errno));
	if (mount("overlay", "root", "overlay", MS_NOSUID | MS_NODEV, options) != 0)
		return refuse_overlay(op, errno);
	return set_root(stage, "root");
}

bool perform_overlay(struct stage *stage, const struct op *op, struct input *input)
{
	(void)input;
	return make_upper(stage, op) && mount_overlay(stage, op);
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
