/* What the two halves of a scan share: scan.c hands items over to another thread, look.c finds them. */
#ifndef SING_SCAN_INTERNAL_H
#define SING_SCAN_INTERNAL_H

#include <pthread.h>

#include "queue.h"
#include "record.h"
#include "scan.h"
#include "stack.h"
#include "trail.h"

enum { TARGET_SIZE = 64 * 1024 };

struct batch;

struct sing_scan {
	struct sing_queue queue; /* of batches */
	struct batch *taking;    /* the other thread's */
	pthread_t thread;
	struct sing_scan_options options;

	/* below, what only the scanning thread uses */
	struct batch *putting;
	struct sing_stack stack;
	struct sing_image **images; /* of the stack */
	struct sing_xattr_list xattrs;
	struct sing_trail trail; /* of what is looked at, for excludes and messages */
	size_t root_length;
	unsigned depth;
	char target[TARGET_SIZE];
};

/* NULL without memory. */
struct sing_item *sing_item_create(enum sing_item_kind kind, const char *name);
void sing_item_free(struct sing_item *item);

/* Take records out of the attributes of an item, and let them say what they may; what else is noted there becomes as it is for all. */
void sing_item_take_records(struct sing_item *item);

/* An item with all that is to be said of an entry: of the open `fd`, or of the one named `in` there. NULL after a failure. */
struct sing_item *sing_item_of_host(struct sing_scan *scan, enum sing_item_kind kind, const char *name,
				    const struct stat *status, int fd, const char *in);

/* Hand over an entry of the open directory `parent`. -1 when the scan is to end. */
int sing_look_at_file(struct sing_scan *scan, int parent, const char *name);
int sing_look_at_other(struct sing_scan *scan, int parent, const char *name, const struct stat *status);

/* The same for a file that is a mark by its name. */
int sing_look_at_mark(struct sing_scan *scan, int parent, const char *mark);

/* The same of a directory, which is opaque also when a name in it says so. */
struct sing_item *sing_item_of_directory(struct sing_scan *scan, const char *name, const struct stat *status, int fd);

/* What layers have under a name. The inode of a file is taken over. NULL after a failure. */
struct sing_item *sing_item_of_layer(struct sing_scan *scan, const char *name, struct sing_found *found);

/* Hand an item over, which is no longer the caller's. -1 when the scan is to end. */
int sing_scan_put(struct sing_scan *scan, struct sing_item *item);

/* Hand over why the scan ends. Returns -1. */
int sing_scan_fail(struct sing_scan *scan, int reason, const char *action);

/* Look at everything below the root. */
void sing_scan_look(struct sing_scan *scan);

#endif
