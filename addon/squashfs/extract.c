/* Makes the tree of an image, or of layers, in a directory; the contents of files are left to the threads of fill.c. */
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
#include "stack.h"
#include "tree.h"

/* A file with several names, which must be recognised when it comes again. */
struct seen {
	struct sing_part part; /* first: by it they are found */
	char path[]; /* the first name, relative to the target */
};

struct extraction {
	struct sing_stack stack;
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

/* Look the inode up, or note it under the current path. Gives the earlier path, or NULL when it is new. */
static int recognise(struct extraction *extraction, struct sing_part part, const char **earlier)
{
	struct seen *seen = malloc(sizeof *seen + extraction->path_length + 1);
	struct seen **found;

	if (seen == NULL)
		return fail(extraction, ENOMEM, "unpack");
	seen->part = part;
	memcpy(seen->path, extraction->path, extraction->path_length + 1);
	found = tsearch(seen, &extraction->seen, sing_part_order);
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

static int create(int directory, const char *name)
{
	return openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* Takes the inode and the attributes over. */
static int make_file(struct extraction *extraction, int directory, const char *name, struct sing_found *found,
		     struct sing_kept *kept)
{
	sqfs_inode_generic_t *inode = found->inode;
	int fd = create(directory, name);

	if (fd < 0) {
		int error = errno;

		sing_kept_free(kept);
		return fail(extraction, error, "create");
	}
	found->inode = NULL;
	return sing_fill_add(extraction->fill, fd, found->part.layer, inode, kept, extraction->path);
}

/* What stands for a device is an empty file. */
static int make_stand_in(struct extraction *extraction, int directory, const char *name)
{
	int fd = create(directory, name);

	if (fd < 0)
		return fail(extraction, errno, "create");
	close(fd);
	return 0;
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
	} else if (sing_kept_is_noted_device(kept, extraction->options->keeping)) {
		if (make_stand_in(extraction, directory, name) != 0)
			return -1;
	} else if (make_special(extraction, directory, name, &kept->stat, &skipped) != 0) {
		return -1;
	}
	error = skipped ? 0 : sing_kept_apply_at(kept, directory, name);
	return error != 0 ? fail(extraction, error, "set the attributes of") : 0;
}

static int make_below(struct extraction *extraction, int directory, const struct sing_merged *merged);

/* Its own attributes come last: they may forbid to write, and times change with every name that is made. */
static int make_directory(struct extraction *extraction, int parent, const char *name, const struct sing_merged *merged,
			  const struct sing_kept *kept)
{
	int fd = -1;
	int error;

	if (mkdirat(parent, name, 0700) == 0)
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(extraction, errno, "create");
	if (make_below(extraction, fd, merged) != 0) {
		close(fd);
		return -1;
	}
	error = sing_kept_apply(kept, fd);
	close(fd);
	return error != 0 ? fail(extraction, error, "set the attributes of") : 0;
}

static int read_kept(struct extraction *extraction, const struct sing_found *found, struct sing_kept *kept)
{
	struct sing_image *image = extraction->stack.images[found->part.layer];

	return sing_kept_read(image, found->inode, extraction->options->keeping, kept);
}

static int make_inode(struct extraction *extraction, int directory, const char *name, struct sing_found *found)
{
	struct sing_kept kept;
	int error = read_kept(extraction, found, &kept);
	int result;

	if (error != 0)
		result = fail(extraction, error, "unpack");
	else if (S_ISREG(kept.stat.mode))
		return make_file(extraction, directory, name, found, &kept);
	else if (S_ISDIR(kept.stat.mode))
		result = make_directory(extraction, directory, name, &found->merged, &kept);
	else
		result = make_other(extraction, directory, name, found->inode, &kept);
	sing_kept_free(&kept);
	return result;
}

static int make_found(struct extraction *extraction, int directory, const char *name, struct sing_found *found)
{
	const char *earlier = NULL;

	if (!S_ISDIR(found->stat.mode) && found->stat.links > 1 && recognise(extraction, found->part, &earlier) != 0)
		return -1;
	extraction->result->entries++;
	if (earlier != NULL)
		return make_link(extraction, earlier, directory, name);
	return make_inode(extraction, directory, name, found);
}

static int make_entry(struct extraction *extraction, int directory, const struct sing_stack_names *names, size_t *at)
{
	const struct sing_extract_options *options = extraction->options;
	const char *name = names->list[*at].text;
	struct sing_found found;
	int error;
	int result;

	if (options->proceed != NULL && !options->proceed(options->user, extraction->result->entries))
		return fail(extraction, SING_CANCELLED, "unpack");
	error = sing_stack_find(&extraction->stack, names, at, &found);
	if (error != 0)
		return fail(extraction, error, "unpack");
	result = found.inode == NULL ? 0 : make_found(extraction, directory, name, &found);
	sing_found_free(&found);
	return result;
}

static int make_entries(struct extraction *extraction, int directory, const struct sing_stack_names *names)
{
	size_t length = extraction->path_length;

	for (size_t at = 0; at < names->count;) {
		char *end = extraction->path + length;

		if (length > 0)
			*end++ = '/';
		end = stpcpy(end, names->list[at].text);
		extraction->path_length = (size_t)(end - extraction->path);
		if (make_entry(extraction, directory, names, &at) != 0)
			return -1;
		extraction->path_length = length;
		extraction->path[length] = '\0';
	}
	return 0;
}

static int make_below(struct extraction *extraction, int directory, const struct sing_merged *merged)
{
	struct sing_stack_names names;
	int error;
	int result;

	if (extraction->depth == SING_DEPTH_LIMIT)
		return fail(extraction, SING_NESTED, "unpack");
	extraction->depth++;
	error = sing_stack_list(&extraction->stack, merged, &names);
	result = error != 0 ? fail(extraction, error, "list") : make_entries(extraction, directory, &names);
	sing_stack_names_free(&names);
	extraction->depth--;
	return result;
}

static int make_root(struct extraction *extraction, const struct sing_found *root, struct sing_kept *kept)
{
	int error = read_kept(extraction, root, kept);

	if (error != 0)
		return fail(extraction, error, "unpack");
	if (make_below(extraction, extraction->to, &root->merged) != 0)
		return -1;
	/* the target may belong to somebody else, who let us write into it */
	error = sing_kept_apply(kept, extraction->to);
	return error != 0 && error != EPERM ? fail(extraction, error, "set the attributes of") : 0;
}

static int extract(struct extraction *extraction, const char *from)
{
	const struct sing_stack *stack = &extraction->stack;
	struct sing_kept kept = { 0 };
	struct sing_found root;
	int error = sing_stack_root(&extraction->stack, from, &root);
	int result;

	if (error != 0)
		return sing_fail(extraction->failure, error, "unpack", from);
	error = sing_fill_start(stack->images, stack->count, extraction->options->workers, &extraction->fill);
	if (error != 0) {
		sing_found_free(&root);
		return fail(extraction, error, "unpack");
	}
	result = make_root(extraction, &root, &kept);
	if (sing_fill_end(extraction->fill, result != 0, extraction->failure) != 0)
		result = -1;
	sing_kept_free(&kept);
	sing_found_free(&root);
	return result;
}

int sing_extract(struct sing_image *const *images, size_t count, const char *from, int to,
		 const struct sing_extract_options *options, struct sing_extract_result *result, struct sing_failure *failure)
{
	struct extraction extraction = {
		.stack = { .images = images, .count = count, .raw = !options->keeping.stacked },
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
	sing_stack_end(&extraction.stack);
	tdestroy(extraction.seen, free);
	free(extraction.path);
	return status;
}
