/*
 * Makes places in trees of somebody else. Who has a user namespace has power over the files of its own ids only: in a
 * sandbox of another user or group an overlay refuses to make anything (EACCES; EOVERFLOW, for it could not copy the
 * owner). The upper directory is ours, so what is missing is made in there, and the overlay is mounted anew to show it.
 */
#include "perform.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the kernel shows for ids that the namespace does not have (/proc/sys/kernel/overflowuid). */
enum { FOREIGN_ID = 65534 };

static bool is_foreign(const struct stage *stage, const struct lower *lower)
{
	AUTO_CLOSE int fd = open_lower(stage, lower);
	struct stat status;

	return fd >= 0 && fstat(fd, &status) == 0 && (status.st_uid == FOREIGN_ID || status.st_gid == FOREIGN_ID);
}

static bool has_foreign_layer(const struct stage *stage, const struct op *overlay)
{
	for (unsigned index = 0; index < overlay->lower_count; index++)
		if (is_foreign(stage, &overlay->lower[index]))
			return true;
	return false;
}

static enum make like_source(const struct input *input)
{
	struct stat status;

	if (input->error || fstat(input->file, &status) != 0)
		return MAKE_NOTHING;
	return S_ISDIR(status.st_mode) ? MAKE_DIRECTORY : MAKE_FILE;
}

static enum make like_part(const struct stage *stage, const struct op *op)
{
	AUTO_PLACE struct place source = { .fd = -1, .parent = -1 };

	if (!find_in_layer(stage, op, &source))
		return MAKE_NOTHING;
	return source.directory ? MAKE_DIRECTORY : MAKE_FILE;
}

/* What an operation makes at its place when nothing is there. */
static enum make wanted_at(const struct stage *stage, const struct op *op, const struct input *input)
{
	if (op->missing != MISSING_CREATE)
		return MAKE_NOTHING;
	switch (op->kind) {
	case OP_BIND:
		return like_source(input);
	case OP_LAYER_BIND:
		return like_part(stage, op);
	case OP_TMPFS:
	case OP_PROC:
	case OP_SYSFS:
	case OP_DEVPTS:
	case OP_MQUEUE:
	case OP_MKDIR:
	case OP_FUSE:
		return MAKE_DIRECTORY;
	case OP_FILE:
	case OP_RECORDS:
	case OP_ANSWER:
		return MAKE_FILE;
	case OP_SQUASHFS:
	case OP_EXT3:
	case OP_DIRECTORY:
	case OP_MEMORY:
	case OP_OVERLAY:
	case OP_LAYER_ROOT:
	case OP_UNDERLAY:
	case OP_SYMLINK:
	case OP_ALLOW_SETUID:
	case OP_READONLY:
		return MAKE_NOTHING;
	}
	return MAKE_NOTHING;
}

/* Go down by one directory. */
static bool enter(int *fd, const char *name)
{
	int below = openat(*fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (below < 0)
		return false;
	close(*fd);
	*fd = below;
	return true;
}

static bool make_and_enter(int *fd, const char *name, mode_t mode)
{
	return (mkdirat(*fd, name, mode) == 0 || errno == EEXIST) && enter(fd, name);
}

/* Make the directories that the tree has already: they lie over its own, and are shown with the same mode. */
static bool enter_known(int *fd, const struct stage *stage, char *directory)
{
	AUTO_CLOSE int known = fcntl(stage->root, F_DUPFD_CLOEXEC, 3);
	char *save;

	for (char *name = strtok_r(directory, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		struct stat status;

		if (!enter(&known, name) || fstat(known, &status) != 0 ||
		    !make_and_enter(fd, name, status.st_mode & 01777))
			return false;
	}
	return true;
}

static bool make_rest(int *fd, char *rest, enum make make)
{
	char *save, *name = strtok_r(rest, "/", &save);

	while (name) {
		char *next = strtok_r(NULL, "/", &save);

		if (strcmp(name, "..") == 0)
			return false;
		if (strcmp(name, ".") != 0 && (next || make == MAKE_DIRECTORY) && !make_and_enter(fd, name, 0755))
			return false;
		if (!next && make == MAKE_FILE) {
			AUTO_CLOSE int file = openat(*fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
			return file >= 0;
		}
		name = next;
	}
	return true;
}

/* Where it does not succeed nothing is lost: the operation tells why. */
static bool prepare(const struct stage *stage, int changes, const struct op *op, const struct input *input)
{
	AUTO_CLOSE int fd = fcntl(changes, F_DUPFD_CLOEXEC, 3);
	enum make make = wanted_at(stage, op, input);
	struct gap gap;

	if (make == MAKE_NOTHING || !find_gap(stage, op->at, &gap) || fd < 0)
		return false;
	if (!enter_known(&fd, stage, gap.directory) || !make_rest(&fd, gap.rest, make))
		return false;
	debug("made %s beside the tree of somebody else", op->at);
	return true;
}

bool prepare_places(struct stage *stage, const struct spec *spec, const struct input *inputs, unsigned overlay)
{
	const struct op *op = &spec->ops[overlay];
	bool made = false;

	if (!has_foreign_layer(stage, op))
		return true;
	AUTO_CLOSE int changes = open_changes(stage, op);
	if (changes < 0)
		return refuse("%s", strerror(errno));
	for (unsigned index = overlay + 1; index < spec->op_count; index++)
		made |= prepare(stage, changes, &spec->ops[index], &inputs[index]);
	return !made || renew_overlay(stage, op);
}
