/*
 * Looks at a directory tree of the host from a thread of its own, some way ahead of the one that packs it: directories are
 * listed, files opened and their data asked of the disk while others are still being compressed.
 */
#ifndef SING_SCAN_H
#define SING_SCAN_H

#include <stddef.h>
#include <sys/stat.h>

#include "attributes.h"
#include "failure.h"

enum sing_item_kind {
	SING_ITEM_DIRECTORY, /* what follows is inside, up to the matching SING_ITEM_UP; the first one is the root */
	SING_ITEM_UP,
	SING_ITEM_FILE,    /* a regular file, open */
	SING_ITEM_KEPT,    /* a regular file that nobody has changed, not open */
	SING_ITEM_OTHER,
	SING_ITEM_FAILURE, /* nothing follows */
};

struct sing_item {
	enum sing_item_kind kind;
	int fd; /* of a file, else -1 */
	struct stat status;
	char *target; /* of a symbolic link */
	struct sing_xattr_list xattrs;
	struct sing_failure *failure;
	char name[];
};

struct sing_scan;

/*
 * Start at `root`; the arguments must live as long as the scan. `root` may be an overlay, and `changes` then its upper directory: what is
 * not in there is kept. Returns 0 or an errno.
 */
int sing_scan_start(const char *root, const char *changes, const char *const *excludes, size_t exclude_count,
		    struct sing_scan **out);

/* The next thing, in the order of byte values of names; NULL at the end. It is the caller's, who frees it. */
struct sing_item *sing_scan_next(struct sing_scan *scan);

void sing_item_free(struct sing_item *item);

/* End the scan, wherever it is, and free it. */
void sing_scan_end(struct sing_scan *scan);

#endif
