/* The cache of unpacked blocks: a hash table over fixed places, the least recently used is replaced. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cache.h"

enum state { EMPTY, LOADING, READY };

struct place {
	struct block block; /* first: a block is its place */
	enum state state;
	unsigned users;
	struct place *chain;
	struct place *newer;
	struct place *older;
};

struct cache {
	struct image *image;
	block_loader load;
	pthread_mutex_t lock;
	/* something became ready, failed, or came out of use while `crowded` threads waited for a place */
	pthread_cond_t changed;
	unsigned crowded;
	unsigned shift;
	struct place **table;
	/* a ring: ring.newer is the oldest place, ring.older the newest */
	struct place ring;
	struct place places[];
};

static struct place **bucket(struct cache *cache, struct extent extent)
{
	/* Fibonacci hashing: offsets of neighbours differ in the low bits, the product mixes them upwards */
	uint64_t product = (extent.at ^ (uint64_t)extent.word << 40) * UINT64_C(0x9e3779b97f4a7c15);

	return &cache->table[product >> cache->shift];
}

static void unlink_place(struct place *place)
{
	place->newer->older = place->older;
	place->older->newer = place->newer;
}

static void link_before(struct place *place, struct place *newer)
{
	place->newer = newer;
	place->older = newer->older;
	newer->older->newer = place;
	newer->older = place;
}

static void make_newest(struct cache *cache, struct place *place)
{
	unlink_place(place);
	link_before(place, &cache->ring);
}

static void make_oldest(struct cache *cache, struct place *place)
{
	unlink_place(place);
	link_before(place, cache->ring.newer);
}

static struct place *find(struct cache *cache, struct extent extent)
{
	struct place *place = *bucket(cache, extent);

	while (place != NULL && (place->block.extent.at != extent.at || place->block.extent.word != extent.word))
		place = place->chain;
	return place;
}

static void forget(struct cache *cache, struct place *place)
{
	struct place **link = bucket(cache, place->block.extent);

	while (*link != place)
		link = &(*link)->chain;
	*link = place->chain;
	place->state = EMPTY;
}

/* The oldest place nobody uses, emptied; NULL when all are in use. */
static struct place *vacate(struct cache *cache)
{
	struct place *place = cache->ring.newer;

	while (place != &cache->ring && place->users > 0)
		place = place->newer;
	if (place == &cache->ring)
		return NULL;
	if (place->state != EMPTY)
		forget(cache, place);
	return place;
}

static struct place *claim(struct cache *cache, struct place *place, struct extent extent)
{
	struct place **head = bucket(cache, extent);

	place->block.extent = extent;
	place->state = LOADING;
	place->users = 1;
	place->chain = *head;
	*head = place;
	make_newest(cache, place);
	return place;
}

/*
 * A place for `extent` with the caller among its users: ready, or to be loaded by the caller (`ours`). Waits for others;
 * looks again after each wait, since a load may have failed or the place may be another block's by then.
 */
static struct place *acquire(struct cache *cache, struct extent extent, bool *ours)
{
	*ours = false;
	for (;;) {
		struct place *place = find(cache, extent);

		if (place != NULL && place->state == READY) {
			place->users++;
			make_newest(cache, place);
			return place;
		}
		if (place != NULL) {
			pthread_cond_wait(&cache->changed, &cache->lock);
			continue;
		}
		place = vacate(cache);
		if (place != NULL) {
			*ours = true;
			return claim(cache, place, extent);
		}
		cache->crowded++;
		pthread_cond_wait(&cache->changed, &cache->lock);
		cache->crowded--;
	}
}

const struct block *cache_get(struct cache *cache, struct extent extent, int *error)
{
	struct place *place;
	bool ours;

	pthread_mutex_lock(&cache->lock);
	place = acquire(cache, extent, &ours);
	pthread_mutex_unlock(&cache->lock);
	if (!ours)
		return &place->block;

	*error = cache->load(cache->image, &place->block);
	pthread_mutex_lock(&cache->lock);
	if (*error == 0) {
		place->state = READY;
	} else {
		forget(cache, place);
		place->users = 0;
		make_oldest(cache, place);
	}
	pthread_cond_broadcast(&cache->changed);
	pthread_mutex_unlock(&cache->lock);
	return *error == 0 ? &place->block : NULL;
}

bool cache_has(struct cache *cache, struct extent extent)
{
	bool has;

	pthread_mutex_lock(&cache->lock);
	has = find(cache, extent) != NULL;
	pthread_mutex_unlock(&cache->lock);
	return has;
}

void cache_put(struct cache *cache, const struct block *block)
{
	struct place *place = (struct place *)block;

	if (block == NULL)
		return;
	pthread_mutex_lock(&cache->lock);
	if (--place->users == 0 && cache->crowded > 0)
		pthread_cond_broadcast(&cache->changed);
	pthread_mutex_unlock(&cache->lock);
}

static unsigned bits_for(unsigned count)
{
	unsigned bits = 1;

	while (1u << bits < count)
		bits++;
	return bits;
}

struct cache *cache_create(struct image *image, unsigned count, size_t size, block_loader load)
{
	struct cache *cache = calloc(1, sizeof *cache + count * sizeof cache->places[0]);
	unsigned bits = bits_for(2 * count);
	/* mapped, not malloced: untouched blocks must cost nothing */
	uint8_t *memory = mmap(NULL, count * size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (cache == NULL || memory == MAP_FAILED)
		return NULL;
	cache->table = calloc((size_t)1 << bits, sizeof cache->table[0]);
	if (cache->table == NULL)
		return NULL;
	cache->shift = 64 - bits;
	cache->image = image;
	cache->load = load;
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->changed, NULL);
	cache->ring.newer = &cache->ring;
	cache->ring.older = &cache->ring;
	for (unsigned i = 0; i < count; i++) {
		cache->places[i].block.data = memory + i * size;
		link_before(&cache->places[i], cache->ring.newer);
	}
	return cache;
}
