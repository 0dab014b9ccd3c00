/* What the two halves share: layers.c reads layers, take.c does what their members say. */
#ifndef SING_LAYERS_INTERNAL_H
#define SING_LAYERS_INTERNAL_H

#include <stdatomic.h>

#include "archive.h"
#include "capture.h"
#include "feed.h"
#include "layers.h"
#include "merge.h"
#include "overlay.h"

struct sing_layers {
	struct sing_writer *writer;
	struct sing_layers_limits limits;
	bool keep_whiteouts;
	struct sing_overlay overlay; /* with it */
	struct sing_merge merge;
	struct sing_capture capture;
	uint32_t next;      /* number of the next layer */
	uint64_t entries;   /* of all layers so far, and so on */
	uint64_t bytes;
	uint64_t xattrs;
	atomic_uint_fast64_t position;

	/* of the present layer */
	struct sing_feed *feed;
	struct sing_archive *archive;
	uint64_t member_number;
	char *clean; /* path of the present member, when somebody asked for it */
};

/* Members of one pass over a layer go here. Returns 0 or a reason. */
typedef int sing_take(struct sing_layers *layers, const struct sing_member *member);

/* Put a member into the merged tree, or let it go by. */
sing_take sing_take_member;

/* The second time: only what hard links wait for, as it was when the last of them came. */
sing_take sing_take_wanted;

/* A path without what means nothing; the caller frees it. NULL without memory. */
char *sing_clean_path(const char *path);

#endif
