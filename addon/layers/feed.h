/*
 * A thread that reads the bytes of a layer, undoes their compression and hands them on in chunks, so that who looks at what
 * is inside need not wait for it. Both sums are taken on the way.
 */
#ifndef SING_FEED_H
#define SING_FEED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "digest.h"
#include "source.h"

struct sing_feed_options {
	struct sing_source *source; /* stays the caller's; stop it to end the thread early */
	enum sing_digest_kind packed_kind;
	enum sing_digest_kind plain_kind;
	uint64_t ratio; /* plain bytes for each packed one that are believed, after the first gigabyte */
};

struct sing_feed;

/* Start the thread. Returns 0 or an errno. */
int sing_feed_start(const struct sing_feed_options *options, struct sing_feed **out);

/* The next chunk; the one before is gone. Returns its size, 0 at the end, or -1 with a reason. */
ssize_t sing_feed_next(struct sing_feed *feed, const void **data, int *reason);

/* Packed bytes that were taken so far; any thread may ask. */
uint64_t sing_feed_position(const struct sing_feed *feed);

/* Plain bytes that the caller got so far. */
uint64_t sing_feed_size(const struct sing_feed *feed);

/* After the end: the sums of the packed and the plain bytes. */
void sing_feed_sums(struct sing_feed *feed, char packed[SING_DIGEST_TEXT], char plain[SING_DIGEST_TEXT]);

/* End the thread. The source must be at its end or stopped. */
void sing_feed_stop(struct sing_feed *feed);

#endif
