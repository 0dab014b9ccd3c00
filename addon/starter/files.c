/* Things made at places of the root: directories, links, and files that live in memory and are bound there. */
#include "perform.h"

#include "fail.h"
#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* A passwd or group file of more than this is no such file. */
enum { LARGEST_FILE = 16 * 1024 * 1024 };

bool perform_mkdir(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };

	(void)input;
	if (find_place(stage, op->at, MAKE_DIRECTORY, op->mode, &place) != FOUND)
		return false;
	return place.directory || refuse("%s", strerror(EEXIST));
}

static bool points_to(const struct place *place, const char *text)
{
	char found[PATH_MAX];
	ssize_t length = readlinkat(place->parent, place->name, found, sizeof found);

	return length == (ssize_t)strlen(text) && memcmp(found, text, (size_t)length) == 0;
}

bool perform_symlink(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };

	(void)input;
	if (find_parent(stage, op->at, &place) != FOUND)
		return false;
	if (symlinkat(op->text, place.parent, place.name) == 0)
		return true;
	if (errno == EEXIST && points_to(&place, op->text))
		return true;
	return refuse("%s", strerror(errno));
}

static bool write_all(int fd, const char *text)
{
	for (size_t left = strlen(text); left > 0;) {
		ssize_t written = write(fd, text, left);

		if (written < 0)
			return false;
		text += written;
		left -= (size_t)written;
	}
	return true;
}

/* Put a file with the text into memory and bind it at the place. */
static bool bind_text(struct stage *stage, const struct op *op, const char *text, const struct place *place)
{
	char name[32];

	if (place->directory)
		return refuse("%s", strerror(EISDIR));
	if (!need_stage(stage))
		return false;
	snprintf(name, sizeof name, "files/%u", stage->file_count++);
	AUTO_CLOSE int file = openat(stage->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, op->mode);
	if (file < 0 || !write_all(file, text))
		return refuse("writing it: %s", strerror(errno));
	if (mount(path_of(file).text, path_of(place->fd).text, NULL, MS_BIND, NULL) != 0)
		return refuse("%s", strerror(errno));
	return true;
}

static bool put_text(struct stage *stage, const struct op *op, const char *text)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };

	if (!take_place(stage, op, MAKE_FILE, &place))
		return false;
	return place.fd < 0 || bind_text(stage, op, text, &place);
}

bool perform_file(struct stage *stage, const struct op *op, struct input *input)
{
	(void)input;
	return put_text(stage, op, op->text);
}

bool perform_answer(struct stage *stage, const struct op *op, struct input *input)
{
	(void)input;
	return put_text(stage, op, answer_text());
}

/*
 * The text at the place, to be freed. A file that may not be read gives no text: whoever runs in the container could not
 * have read it either. NULL with a refusal for what is no file or is too large.
 */
static char *read_text(const struct place *place)
{
	struct stat status;
	char *text;
	ssize_t length = 0;
	size_t size = 0;

	AUTO_CLOSE int file = open(path_of(place->fd).text, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (file >= 0 && (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > LARGEST_FILE)) {
		refuse("there is something else than a text file");
		return NULL;
	}
	text = calloc(1, (file >= 0 ? (size_t)status.st_size : 0) + 1);
	while (text && file >= 0 && size < (size_t)status.st_size) {
		length = read(file, text + size, (size_t)status.st_size - size);
		if (length <= 0)
			break;
		size += (size_t)length;
	}
	if (text && length >= 0)
		return text;
	refuse("reading it: %s", strerror(errno));
	free(text);
	return NULL;
}

bool perform_records(struct stage *stage, const struct op *op, struct input *input)
{
	AUTO_PLACE struct place place = { .fd = -1, .parent = -1 };
	char *text, *merged;
	bool bound;

	(void)input;
	if (!take_place(stage, op, MAKE_FILE, &place))
		return false;
	if (place.fd < 0)
		return true;
	text = read_text(&place);
	if (!text)
		return false;
	merged = merge_records(text, op);
	bound = merged ? bind_text(stage, op, merged, &place) : refuse("out of memory");
	free(text);
	free(merged);
	return bound;
}
