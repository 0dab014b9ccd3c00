/*
 * A root where no overlay can be had: a small tmpfs with the entries of an image bound into it, so that missing mount points
 * can be made. Deeper down the same is done with the one directory that a place is missing in, when it comes to that.
 *
 *   image            root (tmpfs)
 *     bin/   ------>   bin/      bind
 *     lib -> usr/lib   lib       the same link
 *     opt/   ------>   opt/      tmpfs, because /opt/new/place is to be made
 *       app/ ------>     app/    bind
 *                        new/place/
 */
#include "perform.h"

#include "fail.h"
#include "record.h"
#include "restrict.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each is a mount, and the kernel counts them (fs.mount-max). */
enum { MOST_PIECES = 16384 };

static bool note_piece(struct stage *stage, int top)
{
	if (!stage->pieces)
		stage->pieces = allocate(MOST_PIECES, sizeof *stage->pieces);
	if (stage->piece_count == MOST_PIECES)
		return refuse("the image has more than %d entries beside the mount points that it lacks", MOST_PIECES);
	stage->pieces[stage->piece_count++] = mount_of(top);
	return true;
}

static bool copy_link(int from, int to, const char *name)
{
	char text[PATH_MAX];
	ssize_t length = readlinkat(from, name, text, sizeof text - 1);

	if (length < 0)
		return refuse("%s: %s", name, strerror(errno));
	text[length] = '\0';
	return symlinkat(text, to, name) == 0 || refuse("%s: %s", name, strerror(errno));
}

static bool make_like(int to, const char *name, const struct stat *status)
{
	if (S_ISDIR(status->st_mode))
		return mkdirat(to, name, status->st_mode & 07777) == 0;
	AUTO_CLOSE int file = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return file >= 0;
}

/* What is bound may be a mount of the host that was put there before; it stays one. */
static bool bind_entry(struct stage *stage, int from, int to, const char *name, const struct stat *status)
{
	AUTO_CLOSE int source = openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (source < 0 || !make_like(to, name, status))
		return refuse("%s: %s", name, strerror(errno));
	AUTO_CLOSE int place = openat(to, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place < 0 || mount(path_of(source).text, path_of(place).text, NULL, MS_BIND | MS_REC, NULL) != 0)
		return refuse("%s: %s", name, strerror(errno));
	AUTO_CLOSE int top = openat(to, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0)
		return refuse("%s: %s", name, strerror(errno));
	return !is_of_image(stage, mount_of(source)) || note_piece(stage, top);
}

static bool take_entry(struct stage *stage, int from, int to, const char *name)
{
	struct stat status;

	if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
		return refuse("%s: %s", name, strerror(errno));
	return S_ISLNK(status.st_mode) ? copy_link(from, to, name) : bind_entry(stage, from, to, name, &status);
}

static bool take_entries(struct stage *stage, int from, int to)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool taken = directory || refuse("reading a directory of the image: %s", strerror(errno));

	while (taken && (entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			taken = take_entry(stage, from, to, entry->d_name);
	if (directory)
		closedir(directory);
	return taken;
}

/* Cover a directory of the image by memory that shows the same. `covered` and the result are O_PATH; -1: refused. */
static int cover(struct stage *stage, const struct place *place, int covered)
{
	char options[32];
	struct stat status;
	int top;

	if (stage->room_count == MOST_ROOMS) {
		refuse("the image lacks mount points in more than %d directories", MOST_ROOMS);
		return -1;
	}
	if (fstat(covered, &status) == 0)
		snprintf(options, sizeof options, "mode=%04o,size=16m", status.st_mode & 07777);
	if (mount("tmpfs", path_of(place->fd).text, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0 ||
	    (top = open_top(place)) < 0) {
		refuse("making room for mount points: %s", strerror(errno));
		return -1;
	}
	stage->rooms[stage->room_count++] = top;
	return note_piece(stage, top) && take_entries(stage, covered, top) ? top : -1;
}

bool perform_underlay(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_CLOSE int image = open_layer(stage, op->layer_number);
	struct place root = { .fd = openat(stage->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC), .name = "root",
			      .parent = stage->fd };
	bool made;

	(void)input;
	if (image < 0 || root.fd < 0)
		return refuse("%s", strerror(errno));
	/* Binds of it inherit this. */
	if (!restrict_mount(image, MS_RDONLY, true) || !note_piece(stage, image))
		return refuse("%s", strerror(errno));
	stage->underlay = true;
	made = cover(stage, &root, image) >= 0 && set_root(stage, "root");
	close(root.fd);
	return made;
}

/* Whether things can be made there already: in memory of ours, or in what is not the image's. */
static bool is_open(const struct stage *stage, int directory)
{
	uint64_t mount = mount_of(directory);

	for (unsigned index = 0; index < stage->room_count; index++)
		if (mount_of(stage->rooms[index]) == mount)
			return true;
	return !is_of_image(stage, mount);
}

bool make_room(struct stage *stage, const struct op *op, const struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };
	struct gap gap;

	if (!op->at || op->missing != MISSING_CREATE || input->error || !find_gap(stage, op->at, &gap))
		return true;
	if (find_place(stage, gap.directory[0] ? gap.directory : "/", MAKE_NOTHING, 0, &place) != FOUND)
		return false;
	return is_open(stage, place.fd) || cover(stage, &place, place.fd) >= 0;
}

bool restrict_rooms(struct stage *stage)
{
	for (unsigned index = 0; index < stage->room_count; index++)
		if (!restrict_mount(stage->rooms[index], MS_RDONLY, false))
			return refuse("%s", strerror(errno));
	return true;
}
