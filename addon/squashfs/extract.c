/* Makes the tree of an image in a directory; the contents of files are left to the threads of fill.c. */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "extract.h"
#include "fill.h"
#include "restore.h"
#include "tree.h"

/* An inode that must be recognised when it comes again: a directory, which is an error, or a file with several names. */
struct seen {
	uint64_t place;
	char path[]; /* the first name, relative to the target */
};

struct child {
	struct child *next;
	uint64_t place;
	char name[];
};

struct extraction {
	struct sing_image *image;
	const struct sing_extract_options *options;
	struct sing_extract_result *result;
	struct sing_failure *failure;
	struct sing_fill *fill;
	void *seen; /* tree of struct seen */
	int to;
	unsigned depth;
	char *path; /* of what is made, relative to the target; as long as names and depth allow */
	size_t path_length;
};

static int fail(struct extraction *extraction, int reason, const char *action)
{
	char path[sizeof extraction->failure->path];

	snprintf(path, sizeof path, "/%s", extraction->path);
	return sing_fail(extraction->failure, reason, action, path);
}

static int by_place(const void *left, const void *right)
{
	const struct seen *a = left;
	const struct seen *b = right;

	return a->place < b->place ? -1 : a->place > b->place;
}

/* Look the place up, or note it under the current path. Gives the earlier path, or NULL when it is new. */
static int recognise(struct extraction *extraction, uint64_t place, const char **earlier)
{
	struct seen *seen = malloc(sizeof *seen + extraction->path_length + 1);
	struct seen **found;

	if (seen == NULL)
		return fail(extraction, ENOMEM, "unpack");
	seen->place = place;
	memcpy(seen->path, extraction->path, extraction->path_length + 1);
	found = tsearch(seen, &extraction->seen, by_place);
	*earlier = found == NULL || *found == seen ? NULL : (*found)->path;
	if (found == NULL || *found != seen)
		free(seen);
	return found == NULL ? fail(extraction, ENOMEM, "unpack") : 0;
}

/* Open the directory of a path that we made ourselves, one step at a time. The caller closes it unless it is the target. */
static int open_parent(const struct extraction *extraction, const char *path, const char **name)
{
	char step[SING_NAME_LIMIT + 1];
	int fd = extraction->to;

	for (*name = path; strchr(*name, '/') != NULL;) {
		size_t length = strcspn(*name, "/");
		int below;

		memcpy(step, *name, length);
		step[length] = '\0';
		below = openat(fd, step, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd != extraction->to)
			close(fd);
		if (below < 0)
			return -1;
		fd = below;
		*name += length + 1;
	}
	return fd;
}

static int make_link(struct extraction *extraction, const char *earlier, int directory, const char *name)
{
	const char *old;
	int parent = open_parent(extraction, earlier, &old);
	int error = parent < 0 || linkat(parent, old, directory, name, 0) != 0 ? errno : 0;

	if (parent >= 0 && parent != extraction->to)
		close(parent);
	return error != 0 ? fail(extraction, error, "link") : 0;
}

/* Takes the inode and the attributes over. */
static int make_file(struct extraction *extraction, int directory, const char *name, sqfs_inode_generic_t *inode,
		     struct sing_kept *kept)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0) {
		int error = errno;

		sqfs_free(inode);
		sing_kept_free(kept);
		return fail(extraction, error, "create");
	}
	return sing_fill_add(extraction->fill, fd, inode, kept, extraction->path);
}

static int make_symlink(struct extraction *extraction, int directory, const char *name,
			const sqfs_inode_generic_t *inode)
{
	char target[4096 + 1];
	const char *text;
	size_t length;
	int error = sing_image_target(inode, &text, &length);

	if (error != 0)
		return fail(extraction, error, "unpack");
	memcpy(target, text, length);
	target[length] = '\0';
	return symlinkat(target, directory, name) != 0 ? fail(extraction, errno, "create") : 0;
}

/* Fakeroot pretends to make devices and makes nothing. */
static bool exists(int directory, const char *name)
{
	struct stat status;

	return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Plain users may not make devices: an image without them is still of use. */
static int make_special(struct extraction *extraction, int directory, const char *name, const struct sing_stat *stat,
			bool *skipped)
{
	bool device = S_ISCHR(stat->mode) || S_ISBLK(stat->mode);

	*skipped = false;
	if (mknodat(directory, name, (stat->mode & S_IFMT) | 0600, device ? makedev(stat->major, stat->minor) : 0) == 0) {
		if (!device || exists(directory, name))
			return 0;
	} else if (!device || errno != EPERM) {
		return fail(extraction, errno, "create");
	}
	*skipped = true;
	extraction->result->skipped++;
	return 0;
}

static int make_other(struct extraction *extraction, int directory, const char *name,
		      const sqfs_inode_generic_t *inode, const struct sing_kept *kept)
{
	bool skipped = false;
	int error;

	if (S_ISLNK(kept->stat.mode)) {
		if (make_symlink(extraction, directory, name, inode) != 0)
			return -1;
	} else if (make_special(extraction, directory, name, &kept->stat, &skipped) != 0) {
		return -1;
	}
	error = skipped ? 0 : sing_kept_apply_at(kept, directory, name);
	return error != 0 ? fail(extraction, error, "set the attributes of") : 0;
}

static int make_below(struct extraction *extraction, int directory, const sqfs_inode_generic_t *inode, uint64_t place);

/* Its own attributes come last: they may forbid to write, and times change with every name that is made. */
static int make_directory(struct extraction *extraction, int parent, const char *name,
			  const sqfs_inode_generic_t *inode, uint64_t place, const struct sing_kept *kept)
{
	int fd = -1;
	int error;

	if (mkdirat(parent, name, 0700) == 0)
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(extraction, errno, "create");
	if (make_below(extraction, fd, inode, place) != 0) {
		close(fd);
		return -1;
	}
	error = sing_kept_apply(kept, fd);
	close(fd);
	return error != 0 ? fail(extraction, error, "set the attributes of") : 0;
}

/* Takes the inode over. */
static int make_inode(struct extraction *extraction, int directory, const char *name, uint64_t place,
		      sqfs_inode_generic_t *inode)
{
	struct sing_kept kept;
	int error = sing_kept_read(extraction->image, inode, extraction->options->ownership, &kept);
	int result;

	if (error != 0)
		result = fail(extraction, error, "unpack");
	else if (S_ISREG(kept.stat.mode))
		return make_file(extraction, directory, name, inode, &kept);
	else if (S_ISDIR(kept.stat.mode))
		result = make_directory(extraction, directory, name, inode, place, &kept);
	else
		result = make_other(extraction, directory, name, inode, &kept);
	sing_kept_free(&kept);
	sqfs_free(inode);
	return result;
}

static uint32_t links_of(struct extraction *extraction, const sqfs_inode_generic_t *inode)
{
	struct sing_stat stat;

	return sing_image_stat(extraction->image, inode, &stat) == 0 ? stat.links : 1;
}

static int make_entry(struct extraction *extraction, int directory, const struct child *entry)
{
	const struct sing_extract_options *options = extraction->options;
	sqfs_inode_generic_t *inode;
	const char *earlier = NULL;
	int error;

	if (options->proceed != NULL && !options->proceed(options->user, extraction->result->entries))
		return fail(extraction, SING_CANCELLED, "unpack");
	error = sing_image_inode(extraction->image, entry->place, &inode);
	if (error != 0)
		return fail(extraction, error, "unpack");
	if (!S_ISDIR(inode->base.mode) && links_of(extraction, inode) > 1 &&
	    recognise(extraction, entry->place, &earlier) != 0) {
		sqfs_free(inode);
		return -1;
	}
	extraction->result->entries++;
	if (earlier == NULL)
		return make_inode(extraction, directory, entry->name, entry->place, inode);
	sqfs_free(inode);
	return make_link(extraction, earlier, directory, entry->name);
}

struct listing {
	struct child *first;
	struct child **last;
};

static int keep_entry(void *user, const char *name, uint64_t place)
{
	struct listing *listing = user;
	struct child *entry = malloc(sizeof *entry + strlen(name) + 1);

	if (entry == NULL)
		return ENOMEM;
	entry->next = NULL;
	entry->place = place;
	strcpy(entry->name, name);
	*listing->last = entry;
	listing->last = &entry->next;
	return 0;
}

static int make_entries(struct extraction *extraction, int directory, const struct child *entry)
{
	size_t length = extraction->path_length;

	for (; entry != NULL; entry = entry->next) {
		char *end = extraction->path + length;

		if (length > 0)
			*end++ = '/';
		end = stpcpy(end, entry->name);
		extraction->path_length = (size_t)(end - extraction->path);
		if (make_entry(extraction, directory, entry) != 0)
			return -1;
		extraction->path_length = length;
		extraction->path[length] = '\0';
	}
	return 0;
}

static void free_entries(struct child *entry)
{
	while (entry != NULL) {
		struct child *next = entry->next;

		free(entry);
		entry = next;
	}
}

/* A directory has one name: one that comes again is inside itself, or multiplies what is below it without end. */
static int make_below(struct extraction *extraction, int directory, const sqfs_inode_generic_t *inode, uint64_t place)
{
	struct listing listing = { NULL, &listing.first };
	const char *earlier;
	int error;
	int result;

	if (recognise(extraction, place, &earlier) != 0)
		return -1;
	if (earlier != NULL || extraction->depth == SING_DEPTH_LIMIT)
		return fail(extraction, SING_NESTED, "unpack");
	extraction->depth++;
	error = sing_image_list(extraction->image, inode, keep_entry, &listing);
	result = error != 0 ? fail(extraction, error, "list") : make_entries(extraction, directory, listing.first);
	free_entries(listing.first);
	extraction->depth--;
	return result;
}

static int make_root(struct extraction *extraction, const sqfs_inode_generic_t *inode, uint64_t place,
		     struct sing_kept *kept)
{
	int error = sing_kept_read(extraction->image, inode, extraction->options->ownership, kept);

	if (error != 0)
		return fail(extraction, error, "unpack");
	if (!S_ISDIR(kept->stat.mode))
		return fail(extraction, ENOTDIR, "unpack");
	if (make_below(extraction, extraction->to, inode, place) != 0)
		return -1;
	/* the target may belong to somebody else, who let us write into it */
	error = sing_kept_apply(kept, extraction->to);
	return error != 0 && error != EPERM ? fail(extraction, error, "set the attributes of") : 0;
}

static int extract(struct extraction *extraction, const char *from)
{
	struct sing_kept kept = { 0 };
	sqfs_inode_generic_t *inode;
	uint64_t place;
	int error = sing_image_find(extraction->image, from, true, &inode, &place);
	int result;

	if (error != 0)
		return sing_fail(extraction->failure, error, "unpack", from);
	error = sing_fill_start(extraction->image, extraction->options->workers, &extraction->fill);
	if (error != 0) {
		sqfs_free(inode);
		return fail(extraction, error, "unpack");
	}
	result = make_root(extraction, inode, place, &kept);
	if (sing_fill_end(extraction->fill, result != 0, extraction->failure) != 0)
		result = -1;
	sing_kept_free(&kept);
	sqfs_free(inode);
	return result;
}

int sing_extract(struct sing_image *image, const char *from, int to, const struct sing_extract_options *options,
		 struct sing_extract_result *result, struct sing_failure *failure)
{
	struct extraction extraction = {
		.image = image,
		.options = options,
		.result = result,
		.failure = failure,
		.to = to,
		.path = calloc(SING_DEPTH_LIMIT + 1, SING_NAME_LIMIT + 1),
	};
	int status;

	*result = (struct sing_extract_result){ 0 };
	if (extraction.path == NULL)
		return sing_fail(failure, ENOMEM, "unpack", from);
	status = extract(&extraction, from);
	tdestroy(extraction.seen, free);
	free(extraction.path);
	return status;
}
