/* Mounts at places of the root: binds of the host, tmpfs, and the kernel's own file systems. */
#include "perform.h"

#include "fail.h"
#include "restrict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Take rights from the mount that was just made at the place. */
static bool restrict_place(const struct place *place, unsigned long flags, bool below)
{
	AUTO_CLOSE int top = open_top(place);

	if (top < 0 || !restrict_mount(top, flags, below))
		return refuse("restricting the mount: %s", strerror(errno));
	return true;
}

static bool refuse_bind(const struct op *op, int error)
{
	if (error == EINVAL && !op->recursive)
		return refuse("%s (other mounts lie below it, which a user namespace may not leave out)", strerror(error));
	return refuse("%s", strerror(error));
}

static bool refuse_mixture(const char *source, bool directory, const char *at)
{
	return refuse("%s is a %s and %s is %s", source, directory ? "directory" : "file", at,
		      directory ? "none" : "a directory");
}

static bool bind_at(const struct op *op, const struct input *input, bool directory, const struct place *place)
{
	unsigned long flags = (op->trusted ? 0 : MS_NOSUID | MS_NODEV) | (op->readonly ? MS_RDONLY : 0);

	if (directory != place->directory)
		return refuse_mixture(op->from, directory, op->at);
	if (mount(path_of(input->file).text, path_of(place->fd).text, NULL, MS_BIND | (op->recursive ? MS_REC : 0),
		  NULL) != 0)
		return refuse_bind(op, errno);
	return flags == 0 || restrict_place(place, flags, op->readonly && op->recursive);
}

bool perform_bind(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };
	struct stat source;

	if (input->error == ENOENT && op->soft) {
		debug("%s does not exist here", op->from);
		return true;
	}
	if (input->error)
		return refuse("%s: %s", op->from, strerror(input->error));
	if (fstat(input->file, &source) != 0)
		return refuse("%s: %s", op->from, strerror(errno));
	if (!take_place(stage, op, S_ISDIR(source.st_mode) ? MAKE_DIRECTORY : MAKE_FILE, &place))
		return false;
	return place.fd < 0 || bind_at(op, input, S_ISDIR(source.st_mode), &place);
}

/* Its links are resolved inside the layer, as if it were the root. */
bool find_in_layer(const struct stage *stage, const struct op *op, struct place *source)
{
	AUTO_CLOSE int layer = open_layer(stage, op->layer_number);
	struct stage inside = { .fd = -1, .root = layer, .image = true, .root_mount = mount_of(layer) };

	if (layer < 0)
		return refuse("%s", strerror(errno));
	switch (find_place(&inside, op->text, MAKE_NOTHING, 0, source)) {
	case FOUND:
		return true;
	case ABSENT:
		return refuse("%s does not exist in the layer", op->text);
	case REFUSED:
		break;
	}
	return false;
}

/* A part of a data image. */
bool perform_layer_bind(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place source = { .fd = -1, .parent = -1 }, place = { .fd = -1, .parent = -1 };

	(void)input;
	if (!find_in_layer(stage, op, &source))
		return false;
	if (!take_place(stage, op, source.directory ? MAKE_DIRECTORY : MAKE_FILE, &place))
		return false;
	if (place.fd < 0)
		return true;
	if (source.directory != place.directory)
		return refuse_mixture(op->text, source.directory, op->at);
	if (mount(path_of(source.fd).text, path_of(place.fd).text, NULL, MS_BIND, NULL) != 0)
		return refuse("%s", strerror(errno));
	return restrict_place(&place, MS_NOSUID | MS_NODEV | (op->readonly ? MS_RDONLY : 0), false);
}

/* Links of the image may lead into memory of the container itself. */
static void note_memory(struct stage *stage, const struct place *place)
{
	AUTO_CLOSE int top = open_top(place);

	if (top >= 0 && stage->memory_count < MOST_MEMORIES)
		stage->memories[stage->memory_count++] = mount_of(top);
}

bool perform_tmpfs(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };
	char options[64];

	(void)input;
	if (!take_place(stage, op, MAKE_DIRECTORY, &place))
		return false;
	if (place.fd < 0)
		return true;
	snprintf(options, sizeof options, "mode=%04o", op->mode);
	if (op->size > 0)
		snprintf(options, sizeof options, "mode=%04o,size=%" PRIu64, op->mode, op->size);
	if (mount("tmpfs", path_of(place.fd).text, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
		return refuse("%s", strerror(errno));
	note_memory(stage, &place);
	return true;
}

/*
 * A fresh mount where the namespaces are our own, else the host's with all that lies below it. The kernel refuses fresh
 * ones with EPERM when parts of the host's are covered, as in other containers (mount_namespaces(7), "fully visible").
 */
static bool mount_or_bind(struct stage *stage, const struct op *op, const struct input *input, const char *type)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };

	if (!take_place(stage, op, MAKE_DIRECTORY, &place))
		return false;
	if (place.fd < 0)
		return true;
	if (mount(type, path_of(place.fd).text, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0)
		return true;
	debug("no fresh %s: %s", type, strerror(errno));
	if (errno != EPERM)
		return refuse("%s", strerror(errno));
	if (input->error)
		return refuse("/%s: %s", strcmp(type, "proc") == 0 ? "proc" : "sys", strerror(input->error));
	if (mount(path_of(input->file).text, path_of(place.fd).text, NULL, MS_BIND | MS_REC, NULL) != 0)
		return refuse("%s", strerror(errno));
	return restrict_place(&place, MS_NOSUID | MS_NODEV, false);
}

bool perform_proc(struct stage *stage, const struct op *op, struct input *input)
{
	return mount_or_bind(stage, op, input, "proc");
}

bool perform_sysfs(struct stage *stage, const struct op *op, struct input *input)
{
	return mount_or_bind(stage, op, input, "sysfs");
}

/* The group "tty" is 5 wherever it has a number by convention; a map of one id does not have it (EINVAL). */
bool perform_devpts(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };
	const unsigned long flags = MS_NOSUID | MS_NOEXEC;

	(void)input;
	if (!take_place(stage, op, MAKE_DIRECTORY, &place))
		return false;
	if (place.fd < 0)
		return true;
	if (mount("devpts", path_of(place.fd).text, "devpts", flags, "newinstance,ptmxmode=0666,mode=0620,gid=5") != 0 &&
	    mount("devpts", path_of(place.fd).text, "devpts", flags, "newinstance,ptmxmode=0666,mode=0620") != 0)
		return refuse("%s", strerror(errno));
	return true;
}

bool perform_mqueue(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };

	(void)input;
	if (!take_place(stage, op, MAKE_DIRECTORY, &place))
		return false;
	if (place.fd >= 0 &&
	    mount("mqueue", path_of(place.fd).text, "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
		return refuse("%s", strerror(errno));
	return true;
}

/* Only for who is root of the host: a user namespace may not take the flag away again. */
bool perform_allow_setuid(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };

	(void)input;
	switch (find_place(stage, op->at, MAKE_NOTHING, 0, &place)) {
	case FOUND:
		return relax_mount(place.fd) || refuse("%s", strerror(errno));
	case ABSENT:
		return refuse("it does not exist");
	case REFUSED:
		break;
	}
	return false;
}

bool perform_readonly(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };

	(void)input;
	switch (find_place(stage, op->at, MAKE_NOTHING, 0, &place)) {
	case FOUND:
		if (!restrict_mount(place.fd, MS_RDONLY, false))
			return refuse("%s", errno == EINVAL ? "nothing is mounted there" : strerror(errno));
		return place.parent >= 0 || restrict_rooms(stage);
	case ABSENT:
		return refuse("it does not exist");
	case REFUSED:
		break;
	}
	return false;
}
