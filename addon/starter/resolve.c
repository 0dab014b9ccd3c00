/*
 * Walks a path inside the root one component at a time. Each component is opened with O_PATH|O_NOFOLLOW from the
 * descriptor of the one before; `..` goes back to a descriptor that the walk already had, and links are expanded as text
 * that is walked again from the root or from where they lie. So neither links, nor the kernel's magic links in /proc, nor
 * directories that are moved meanwhile can lead out of the root.
 */
#include "resolve.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	DEEPEST = 128,   /* directories below each other */
	MOST_LINKS = 40, /* as in the kernel: path_resolution(7) */
};

struct step {
	int fd;
	char name[NAME_MAX + 1];
};

struct walk {
	const struct stage *stage;
	const char *at; /* for messages */
	enum make make;
	mode_t mode;
	struct step steps[DEEPEST]; /* the first is the root */
	unsigned depth;
	char rest[PATH_MAX * 2];    /* what is still to be walked */
	char *next;                 /* in rest */
	const char *name;           /* in rest: the component that was taken last */
	unsigned links;
	bool image_link; /* a link of the image itself was followed */
};

static uint64_t mount_from_fdinfo(int fd)
{
	char path[48], text[512];
	const char *line;
	ssize_t length;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	AUTO_CLOSE int info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return 0;
	length = read(info, text, sizeof text - 1);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	line = strstr(text, "mnt_id:");
	return line ? strtoull(line + strlen("mnt_id:"), NULL, 10) : 0;
}

uint64_t mount_of(int fd)
{
	struct statx status;

	/* STATX_MNT_ID came with kernel 5.8; fdinfo has the same number since 3.15. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &status) == 0 &&
	    status.stx_mask & STATX_MNT_ID)
		return status.stx_mnt_id;
	return mount_from_fdinfo(fd);
}

bool is_of_image(const struct stage *stage, uint64_t mount)
{
	for (unsigned index = 0; index < stage->piece_count; index++)
		if (mount != 0 && mount == stage->pieces[index])
			return true;
	return mount != 0 && mount == stage->root_mount;
}

static bool lies_on_host(const struct stage *stage, int fd)
{
	uint64_t mount = mount_of(fd);

	if (is_of_image(stage, mount))
		return false;
	for (unsigned index = 0; index < stage->memory_count; index++)
		if (mount != 0 && mount == stage->memories[index])
			return false;
	return true;
}

/* A link in an image must never lead a mount or a write to a directory of the host. */
static bool is_led_astray(const struct walk *walk, int fd)
{
	return walk->image_link && lies_on_host(walk->stage, fd);
}

static bool refuse_astray(const struct walk *walk)
{
	return refuse("a link in the image leads %s into a directory of the host", walk->at);
}

static int here(const struct walk *walk)
{
	return walk->steps[walk->depth - 1].fd;
}

static void go_up(struct walk *walk)
{
	if (walk->depth > 1)
		close(walk->steps[--walk->depth].fd);
}

static void go_to_root(struct walk *walk)
{
	while (walk->depth > 1)
		go_up(walk);
}

/* The walk owns the descriptor from here on. */
static bool go_down(struct walk *walk, int fd, const char *name)
{
	struct step *step = &walk->steps[walk->depth];

	if (walk->depth == DEEPEST) {
		close(fd);
		return refuse("%s: too many directories below each other", walk->at);
	}
	step->fd = fd;
	snprintf(step->name, sizeof step->name, "%s", name);
	walk->depth++;
	return true;
}

/* The next component into `name`. An empty name: there is none. False: it is too long. */
static bool take_name(struct walk *walk, char name[NAME_MAX + 1])
{
	size_t length;

	walk->next += strspn(walk->next, "/");
	walk->name = walk->next;
	length = strcspn(walk->next, "/");
	if (length > NAME_MAX)
		return refuse("%s: %s", walk->at, strerror(ENAMETOOLONG));
	memcpy(name, walk->next, length);
	name[length] = '\0';
	walk->next += length;
	return true;
}

static bool is_last(const struct walk *walk)
{
	return walk->next[strspn(walk->next, "/")] == '\0';
}

/* Put the text of a link in front of what is still to be walked. */
static bool follow(struct walk *walk, int link)
{
	char text[PATH_MAX], rest[sizeof walk->rest];
	ssize_t length = readlinkat(link, "", text, sizeof text - 1);
	int whole;

	if (length < 0)
		return refuse("%s: %s", walk->at, strerror(errno));
	text[length] = '\0';
	if (++walk->links > MOST_LINKS)
		return refuse("%s: %s", walk->at, strerror(ELOOP));
	whole = snprintf(rest, sizeof rest, "%s/%s", text, walk->next);
	if (whole < 0 || (size_t)whole >= sizeof rest)
		return refuse("%s: %s", walk->at, strerror(ENAMETOOLONG));
	memcpy(walk->rest, rest, (size_t)whole + 1);
	walk->next = walk->rest;
	walk->image_link |= walk->stage->image && is_of_image(walk->stage, mount_of(link));
	if (text[0] == '/')
		go_to_root(walk);
	return true;
}

/* Returns the descriptor of what was made below the walk's end, or -1 with a refusal. */
static int make_missing(struct walk *walk, const char *name)
{
	bool directory = walk->make == MAKE_DIRECTORY || !is_last(walk);
	mode_t mode = is_last(walk) ? walk->mode : 0755;
	int fd;

	if (is_led_astray(walk, here(walk))) {
		refuse_astray(walk);
		return -1;
	}
	if (directory) {
		if (mkdirat(here(walk), name, mode) != 0 && errno != EEXIST) {
			refuse("making the directory %s of %s: %s", name, walk->at, strerror(errno));
			return -1;
		}
	} else {
		AUTO_CLOSE int file = openat(here(walk), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (file < 0) {
			refuse("making the file %s: %s", walk->at, strerror(errno));
			return -1;
		}
	}
	fd = openat(here(walk), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		refuse("%s: %s", walk->at, strerror(errno));
	return fd;
}

static enum found enter(struct walk *walk, int fd, const char *name)
{
	struct stat status;

	if (fstat(fd, &status) != 0) {
		refuse("%s: %s", walk->at, strerror(errno));
		close(fd);
		return REFUSED;
	}
	if (S_ISLNK(status.st_mode)) {
		bool followed = follow(walk, fd);

		close(fd);
		return followed ? FOUND : REFUSED;
	}
	return go_down(walk, fd, name) ? FOUND : REFUSED;
}

static enum found take_step(struct walk *walk, const char *name)
{
	int fd;

	if (strcmp(name, ".") == 0)
		return FOUND;
	if (strcmp(name, "..") == 0) {
		go_up(walk);
		return FOUND;
	}
	fd = openat(here(walk), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && walk->make == MAKE_NOTHING && (errno == ENOENT || errno == ENOTDIR))
		return ABSENT;
	if (fd < 0 && errno == ENOENT) {
		fd = make_missing(walk, name);
		if (fd < 0)
			return REFUSED;
	} else if (fd < 0) {
		refuse("%s: %s", walk->at, strerror(errno));
		return REFUSED;
	}
	return enter(walk, fd, name);
}

static enum found walk_to_end(struct walk *walk)
{
	char name[NAME_MAX + 1];

	for (;;) {
		enum found found;

		if (!take_name(walk, name))
			return REFUSED;
		if (name[0] == '\0')
			break;
		found = take_step(walk, name);
		if (found != FOUND)
			return found;
	}
	if (is_led_astray(walk, here(walk))) {
		refuse_astray(walk);
		return REFUSED;
	}
	return FOUND;
}

static bool begin_walk(struct walk *walk, const struct stage *stage, const char *at)
{
	walk->stage = stage;
	walk->at = at;
	walk->next = walk->rest;
	walk->links = 0;
	walk->image_link = false;
	snprintf(walk->rest, sizeof walk->rest, "%s", at);
	walk->steps[0].fd = fcntl(stage->root, F_DUPFD_CLOEXEC, 3);
	walk->steps[0].name[0] = '\0';
	walk->depth = 1;
	return walk->steps[0].fd >= 0 || refuse("%s: %s", at, strerror(errno));
}

/* Close the walk's descriptors but the last, and the one above it, which the place takes over. */
static void keep_end(struct walk *walk, struct place *place)
{
	struct step *end = &walk->steps[walk->depth - 1];
	struct stat status;

	place->fd = end->fd;
	place->directory = fstat(end->fd, &status) == 0 && S_ISDIR(status.st_mode);
	memcpy(place->name, end->name, sizeof place->name);
	if (--walk->depth > 0)
		place->parent = walk->steps[--walk->depth].fd;
}

static void end_walk(struct walk *walk)
{
	while (walk->depth > 0)
		close(walk->steps[--walk->depth].fd);
}

enum found find_place(const struct stage *stage, const char *at, enum make make, mode_t mode, struct place *place)
{
	struct walk walk;
	enum found found;

	*place = (struct place){ .fd = -1, .parent = -1 };
	if (!begin_walk(&walk, stage, at))
		return REFUSED;
	walk.make = make;
	walk.mode = mode;
	found = walk_to_end(&walk);
	if (found == FOUND)
		keep_end(&walk, place);
	end_walk(&walk);
	return found;
}

/* The names of the steps. False when they are too many, or the last is no directory. */
static bool write_steps(const struct walk *walk, char *path, size_t size)
{
	struct stat status;
	size_t length = 0;

	path[0] = '\0';
	for (unsigned depth = 1; depth < walk->depth && length < size; depth++)
		length += (size_t)snprintf(path + length, size - length, "/%s", walk->steps[depth].name);
	return length < size && fstat(here(walk), &status) == 0 && S_ISDIR(status.st_mode);
}

bool find_gap(const struct stage *stage, const char *at, struct gap *gap)
{
	struct walk walk;
	bool missing;

	if (!begin_walk(&walk, stage, at))
		return false;
	walk.make = MAKE_NOTHING;
	missing = walk_to_end(&walk) == ABSENT && write_steps(&walk, gap->directory, sizeof gap->directory);
	if (missing)
		snprintf(gap->rest, sizeof gap->rest, "%s", walk.name);
	end_walk(&walk);
	return missing;
}

enum found find_parent(const struct stage *stage, const char *at, struct place *place)
{
	char directory[PATH_MAX];
	size_t length = strlen(at);
	struct place parent;
	enum found found;

	*place = (struct place){ .fd = -1, .parent = -1 };
	while (length > 0 && at[length - 1] == '/')
		length--;
	snprintf(directory, sizeof directory, "%.*s", (int)length, at);
	char *name = strrchr(directory, '/');
	if (!name || strlen(name + 1) > NAME_MAX || strcmp(name + 1, ".") == 0 || strcmp(name + 1, "..") == 0) {
		refuse("%s has no name at its end", at);
		return REFUSED;
	}
	snprintf(place->name, sizeof place->name, "%s", name + 1);
	*name = '\0';
	found = find_place(stage, directory, MAKE_DIRECTORY, 0755, &parent);
	if (found != FOUND)
		return found;
	close_fd(&parent.parent);
	place->parent = parent.fd;
	return FOUND;
}

int open_top(const struct place *place)
{
	if (place->parent < 0)
		return fcntl(place->fd, F_DUPFD_CLOEXEC, 3);
	return openat(place->parent, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

void close_place(struct place *place)
{
	close_fd(&place->fd);
	close_fd(&place->parent);
	*place = (struct place){ .fd = -1, .parent = -1 };
}
