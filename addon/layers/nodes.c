/* A hash table with a secret, so that nobody can make names that all fall into one bucket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "links.h"
#include "nodes.h"
#include "squashfs/failure.h"

enum { FIRST_BUCKETS = 1024, BLOCK_SIZE = 64 * 1024 };

/* Nodes live as long as the table: they are cut from large blocks. */
struct sing_block {
	struct sing_block *next;
	size_t used;
	_Alignas(struct sing_node) char data[BLOCK_SIZE];
};

static void *allocate(struct sing_nodes *nodes, size_t size)
{
	size_t align = _Alignof(struct sing_node);
	size_t rounded = (size + align - 1) / align * align;
	struct sing_block *block = nodes->blocks;
	void *memory;

	if (block == NULL || BLOCK_SIZE - block->used < rounded) {
		block = malloc(sizeof *block);
		if (block == NULL)
			return NULL;
		block->next = nodes->blocks;
		block->used = 0;
		nodes->blocks = block;
	}
	memory = block->data + block->used;
	block->used += rounded;
	return memset(memory, 0, size);
}

static struct sing_node *create(struct sing_nodes *nodes, struct sing_node *parent, const char *name, size_t length)
{
	struct sing_node *node = allocate(nodes, sizeof *node + length);

	if (node == NULL)
		return NULL;
	node->parent = parent;
	node->set = node->used = node->floor = node->opaque = SING_NO_LAYER;
	node->length = (uint8_t)length;
	memcpy(node->name, name, length);
	if (parent != NULL) {
		node->depth = parent->depth + 1;
		node->sibling = parent->child;
		parent->child = node;
	}
	nodes->count++;
	return node;
}

static void draw_secret(struct sing_nodes *nodes)
{
	if (getrandom(nodes->secret, sizeof nodes->secret, GRND_NONBLOCK) != sizeof nodes->secret) {
		nodes->secret[0] = (uintptr_t)nodes;
		nodes->secret[1] = (uintptr_t)nodes->buckets;
	}
	nodes->secret[0] |= 1;
	nodes->secret[1] |= 1;
}

int sing_nodes_open(struct sing_nodes *nodes, size_t limit)
{
	*nodes = (struct sing_nodes){ .bucket_count = FIRST_BUCKETS, .limit = limit };
	nodes->buckets = calloc(FIRST_BUCKETS, sizeof *nodes->buckets);
	nodes->root = create(nodes, NULL, "", 0);
	draw_secret(nodes);
	if (nodes->buckets == NULL || nodes->root == NULL)
		return ENOMEM;
	nodes->root->used = 0;
	return 0;
}

/* Both halves of a product: every bit of either factor reaches the result. */
static uint64_t fold(uint64_t one, uint64_t other)
{
	unsigned __int128 product = (unsigned __int128)one * other;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static size_t bucket_of(const struct sing_nodes *nodes, const struct sing_node *parent, const char *name, size_t length)
{
	uint64_t hash = fold((uintptr_t)parent ^ nodes->secret[0], length ^ nodes->secret[1]);

	while (length > 0) {
		uint64_t word = 0;
		size_t step = length < sizeof word ? length : sizeof word;

		memcpy(&word, name, step);
		hash = fold(hash ^ word ^ nodes->secret[0], nodes->secret[1]);
		name += step;
		length -= step;
	}
	return (size_t)hash & (nodes->bucket_count - 1);
}

static int grow(struct sing_nodes *nodes)
{
	struct sing_node **before = nodes->buckets;
	size_t count = nodes->bucket_count;
	struct sing_node **buckets = calloc(count * 2, sizeof *buckets);

	if (buckets == NULL)
		return ENOMEM;
	nodes->buckets = buckets;
	nodes->bucket_count = count * 2;
	for (size_t i = 0; i < count; i++) {
		struct sing_node *node = before[i];

		while (node != NULL) {
			struct sing_node *next = node->chain;
			size_t bucket = bucket_of(nodes, node->parent, node->name, node->length);

			node->chain = buckets[bucket];
			buckets[bucket] = node;
			node = next;
		}
	}
	free(before);
	return 0;
}

struct sing_node *sing_nodes_find(const struct sing_nodes *nodes, const struct sing_node *parent, const char *name,
				  size_t length)
{
	struct sing_node *node = nodes->buckets[bucket_of(nodes, parent, name, length)];

	while (node != NULL &&
	       (node->parent != parent || node->length != length || memcmp(node->name, name, length) != 0))
		node = node->chain;
	return node;
}

int sing_nodes_reach(struct sing_nodes *nodes, struct sing_node *parent, const char *name, size_t length,
		     struct sing_node **out)
{
	size_t bucket;

	*out = sing_nodes_find(nodes, parent, name, length);
	if (*out != NULL)
		return 0;
	if (nodes->count >= nodes->limit)
		return SING_MANY_ENTRIES;
	/* a symbolic link may lead further down than any path */
	if (parent->depth + 1 >= SING_DEPTH_LIMIT)
		return SING_NESTED;
	if (nodes->count >= nodes->bucket_count && grow(nodes) != 0)
		return ENOMEM;
	*out = create(nodes, parent, name, length);
	if (*out == NULL)
		return ENOMEM;
	bucket = bucket_of(nodes, parent, name, length);
	(*out)->chain = nodes->buckets[bucket];
	nodes->buckets[bucket] = *out;
	return 0;
}

bool sing_node_is_free(const struct sing_node *node)
{
	return !node->waiting && node->inode == NULL;
}

bool sing_node_is_directory(const struct sing_node *node)
{
	return !node->waiting && node->inode != NULL && S_ISDIR(node->inode->mode);
}

bool sing_node_is_symlink(const struct sing_node *node)
{
	return !node->waiting && node->inode != NULL && S_ISLNK(node->inode->mode);
}

bool sing_node_exists(const struct sing_node *node)
{
	return !sing_node_is_free(node) || node->used != SING_NO_LAYER;
}

void sing_node_clear(struct sing_node *node)
{
	if (node->waiting)
		sing_waiter_leave(node->waiter);
	node->waiting = false;
	node->inode = NULL;
	node->set = SING_NO_LAYER;
}

static void forget(uint32_t *layer, uint32_t first, uint32_t last)
{
	if (*layer >= first && *layer <= last)
		*layer = SING_NO_LAYER;
}

void sing_node_prune(struct sing_node *directory, uint32_t first, uint32_t last)
{
	for (struct sing_node *node = directory->child; node != NULL; node = node->sibling) {
		if (node->set >= first && node->set <= last)
			sing_node_clear(node);
		forget(&node->used, first, last);
		forget(&node->floor, first, last);
		forget(&node->opaque, first, last);
		sing_node_prune(node, first, last);
	}
}

void sing_nodes_free(struct sing_nodes *nodes)
{
	while (nodes->blocks != NULL) {
		struct sing_block *next = nodes->blocks->next;

		free(nodes->blocks);
		nodes->blocks = next;
	}
	free(nodes->buckets);
}
