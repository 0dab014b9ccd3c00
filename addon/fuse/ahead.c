/*
 * Threads that unpack blocks before they are asked for. The kernel reads ahead too, but asks for one block after the
 * other; with this, one reader keeps several processors busy.
 */
#include <pthread.h>
#include <stdlib.h>

#include "ahead.h"
#include "image.h"
#include "thread.h"

enum {
	/* readers that are kept track of */
	TRACKS = 64,
	WISHES = 16,
	DEPTH_MAX = 8,
};

/* Where a reader of a file has been last. */
struct track {
	uint64_t file;
	uint64_t last;
	bool used;
};

struct ahead {
	struct image *image;
	unsigned threads;
	pthread_mutex_t lock;
	pthread_cond_t wished;
	unsigned running;
	unsigned idle;
	struct track tracks[TRACKS];
	/* a ring: `count` wishes from `next` on */
	struct extent wishes[WISHES];
	unsigned next;
	unsigned count;
};

struct ahead *ahead_create(struct image *image, unsigned threads)
{
	struct ahead *ahead = calloc(1, sizeof *ahead);

	if (ahead == NULL)
		return NULL;
	ahead->image = image;
	ahead->threads = threads / 2 > 0 ? threads / 2 : 1;
	pthread_mutex_init(&ahead->lock, NULL);
	pthread_cond_init(&ahead->wished, NULL);
	return ahead;
}

unsigned ahead_depth(const struct ahead *ahead)
{
	return ahead->threads + 1 < DEPTH_MAX ? ahead->threads + 1 : DEPTH_MAX;
}

bool ahead_follows(struct ahead *ahead, uint64_t file, uint64_t first, uint64_t last)
{
	struct track *track = &ahead->tracks[(file ^ file >> 7 ^ file >> 17) % TRACKS];
	bool follows;

	pthread_mutex_lock(&ahead->lock);
	/* the kernel's own read-ahead may overtake itself by a request */
	follows = track->used && track->file == file && first + 1 >= track->last && first <= track->last + 1;
	if (!follows || last > track->last)
		*track = (struct track){ .file = file, .last = last, .used = true };
	pthread_mutex_unlock(&ahead->lock);
	return follows;
}

static struct extent next_wish(struct ahead *ahead)
{
	struct extent extent;

	pthread_mutex_lock(&ahead->lock);
	ahead->idle++;
	while (ahead->count == 0)
		pthread_cond_wait(&ahead->wished, &ahead->lock);
	ahead->idle--;
	extent = ahead->wishes[ahead->next];
	ahead->next = (ahead->next + 1) % WISHES;
	ahead->count--;
	pthread_mutex_unlock(&ahead->lock);
	return extent;
}

static void *fulfil_wishes(void *argument)
{
	struct ahead *ahead = argument;
	int error;

	for (;;)
		cache_put(ahead->image->blocks, cache_get(ahead->image->blocks, next_wish(ahead), &error));
	return NULL;
}

static bool is_wished(const struct ahead *ahead, struct extent extent)
{
	for (unsigned i = 0; i < ahead->count; i++) {
		const struct extent *wish = &ahead->wishes[(ahead->next + i) % WISHES];

		if (wish->at == extent.at && wish->word == extent.word)
			return true;
	}
	return false;
}

void ahead_want(struct ahead *ahead, struct extent extent)
{
	if (cache_has(ahead->image->blocks, extent))
		return;
	pthread_mutex_lock(&ahead->lock);
	if (ahead->count < WISHES && !is_wished(ahead, extent)) {
		ahead->wishes[(ahead->next + ahead->count) % WISHES] = extent;
		ahead->count++;
		if (ahead->idle < ahead->count && ahead->running < ahead->threads && thread_start(fulfil_wishes, ahead))
			ahead->running++;
		pthread_cond_signal(&ahead->wished);
	}
	pthread_mutex_unlock(&ahead->lock);
}
