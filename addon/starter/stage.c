/* Makes the stage, and leaves it through pivot_root with the finished root. */
#include "stage.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Holds mount points and a few small files; layers have their own memory. */
static const char stage_options[] = "mode=0755,size=64m";

struct fd_path path_of(int fd)
{
	struct fd_path path;

	snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
	return path;
}

void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Any directory serves: it is covered in the private mount namespace only, and its old content was opened before. */
static bool cover_directory(struct stage *stage)
{
	static const char *const places[] = { "/tmp", "/var/tmp", "/run", "/mnt", "/var", "/opt", "/home" };

	for (size_t index = 0; index < sizeof places / sizeof *places; index++) {
		if (mount("tmpfs", places[index], "tmpfs", MS_NOSUID | MS_NODEV, stage_options) == 0) {
			stage->covered = places[index];
			return true;
		}
		if (errno != ENOENT && errno != ENOTDIR)
			return refuse("mounting a tmpfs over %s: %s", places[index], strerror(errno));
	}
	return refuse("none of the usual directories (/tmp, /var/tmp, /run, ...) exists");
}

/*
 * A recursive bind of a directory above the stage must not bring it into the container: such binds leave out unbindable
 * mounts with all below them (mount_namespaces(7)). What is bound itself, or serves an overlay, gets a mount of its own.
 */
static bool hide_stage(const struct stage *stage)
{
	AUTO_CLOSE int files = openat(stage->fd, "files", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (mount(NULL, path_of(stage->fd).text, NULL, MS_UNBINDABLE, NULL) != 0)
		return refuse("%s: %s", stage->covered, strerror(errno));
	if (files < 0 || mount("tmpfs", path_of(files).text, "tmpfs", MS_NOSUID | MS_NODEV, stage_options) != 0)
		return refuse("%s/files: %s", stage->covered, strerror(errno));
	return true;
}

bool need_stage(struct stage *stage)
{
	if (stage->fd >= 0)
		return true;
	if (!cover_directory(stage))
		return false;
	stage->fd = open(stage->covered, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (stage->fd < 0)
		return refuse("%s: %s", stage->covered, strerror(errno));
	if (mkdirat(stage->fd, "layers", 0755) != 0 || mkdirat(stage->fd, "files", 0755) != 0 ||
	    mkdirat(stage->fd, "root", 0755) != 0)
		return refuse("%s: %s", stage->covered, strerror(errno));
	if (!hide_stage(stage))
		return false;
	debug("the stage lies over %s", stage->covered);
	return true;
}

void set_stage(const struct spec *spec, struct stage *stage)
{
	*stage = (struct stage){ .fd = -1, .root = -1, .image = spec->new_root };
	if (spec->op_count > 0 && access("/proc/self/fd", X_OK) != 0)
		fail("cannot mount anything: /proc/self/fd: %s", strerror(errno));
	if (spec->new_root) {
		if (!need_stage(stage))
			fail("cannot make a place for the new root: %s", refusal());
	} else if (spec->op_count > 0) {
		stage->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (stage->root < 0)
			fail("cannot open /: %s", strerror(errno));
	}
}

void hold_in_servers(const struct spec *spec, const struct input *inputs, int written, struct stage *stage)
{
	if (written >= 0)
		stage->held[stage->held_count++] = written;
	for (unsigned index = 0; index < spec->op_count && stage->held_count < MOST_HELD; index++)
		if (inputs[index].lock >= 0)
			stage->held[stage->held_count++] = inputs[index].lock;
}

/*
 * The root of a machine that runs from its initramfs, as stateless cluster nodes do, cannot be pivoted
 * (pivot_root(2), EINVAL). There the new root is moved over the old one.
 */
static void cover_root(void)
{
	if (mount(".", "/", NULL, MS_MOVE, NULL) != 0)
		fail("cannot enter the new root: moving it: %s", strerror(errno));
	if (chroot(".") != 0)
		fail("cannot enter the new root: chroot: %s", strerror(errno));
}

void enter_root(const struct spec *spec, struct stage *stage)
{
	if (!spec->new_root) {
		if (stage->fd >= 0 && umount2(stage->covered, MNT_DETACH) != 0)
			fail("cannot uncover %s: %s", stage->covered, strerror(errno));
		return;
	}
	if (fchdir(stage->root) != 0)
		fail("cannot enter the new root: %s", strerror(errno));
	/* With both arguments "." the old root ends up on top of the new one and is detached from there. */
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) != 0)
			fail("cannot detach the old root: %s", strerror(errno));
	} else if (errno == EINVAL) {
		cover_root();
	} else {
		fail("cannot enter the new root: pivot_root: %s", strerror(errno));
	}
	if (chdir("/") != 0)
		fail("cannot enter the new root: %s", strerror(errno));
	debug("entered the new root");
}
