/* Few images have any of these: two trees of the C library will do. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "links.h"

struct alias {
	char *path;
	char *target;
};

/* Both kinds of things in trees begin with their path. */
static int by_path(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

struct sing_wanted *sing_links_find(const struct sing_links *links, const char *path)
{
	struct sing_wanted **found = NULL;

	if (links->by_path != NULL)
		found = tfind(&path, &links->by_path, by_path);
	return found == NULL ? NULL : *found;
}

static void free_wanted(struct sing_wanted *wanted)
{
	struct sing_waiter *waiter = wanted->waiters;

	while (waiter != NULL) {
		struct sing_waiter *next = waiter->next;

		free(waiter);
		waiter = next;
	}
	free(wanted->path);
	free(wanted);
}

static struct sing_wanted *want(struct sing_links *links, const char *path)
{
	struct sing_wanted *wanted = sing_links_find(links, path);

	if (wanted != NULL)
		return wanted;
	wanted = calloc(1, sizeof *wanted);
	if (wanted == NULL)
		return NULL;
	wanted->path = strdup(path);
	if (wanted->path == NULL || tsearch(wanted, &links->by_path, by_path) == NULL) {
		free_wanted(wanted);
		return NULL;
	}
	wanted->next = links->first;
	links->first = wanted;
	return wanted;
}

int sing_links_wait(struct sing_links *links, const char *path, struct sing_node *node, uint32_t layer, uint64_t member)
{
	struct sing_wanted *wanted = want(links, path);
	struct sing_waiter *waiter;

	if (wanted == NULL)
		return ENOMEM;
	if (wanted->inode != NULL) {
		node->inode = wanted->inode;
		return 0;
	}
	waiter = malloc(sizeof *waiter);
	if (waiter == NULL)
		return ENOMEM;
	*waiter = (struct sing_waiter){ node, wanted, wanted->waiters };
	wanted->waiters = waiter;
	if (wanted->last == NULL)
		wanted->last = waiter;
	wanted->layer = layer;
	wanted->before = member;
	node->waiting = true;
	node->waiter = waiter;
	return 0;
}

struct sing_wanted *sing_waiter_wanted(const struct sing_waiter *waiter)
{
	struct sing_wanted *wanted = waiter->wanted;

	/* half the way the next time */
	for (; wanted->moved != NULL; wanted = wanted->moved)
		if (wanted->moved->moved != NULL)
			wanted->moved = wanted->moved->moved;
	return wanted;
}

/* All at once, however many they are: links to links to links can be as many as an image has names. */
void sing_links_join(struct sing_links *links, struct sing_wanted *wanted, struct sing_wanted *target)
{
	if (wanted->waiters != NULL) {
		wanted->last->next = target->waiters;
		target->waiters = wanted->waiters;
		if (target->last == NULL)
			target->last = wanted->last;
	}
	wanted->waiters = wanted->last = NULL;
	wanted->moved = target;
	tdelete(wanted, &links->by_path, by_path);
}

/* Whether a name still is what it became, or waits to become, by this. */
static bool is_still(const struct sing_waiter *waiter, const struct sing_inode *inode)
{
	const struct sing_node *node = waiter->node;

	return node->waiting ? node->waiter == waiter : node->inode == inode;
}

/* What was found was not the last that the layer has of that name. */
static void wait_again(struct sing_wanted *wanted)
{
	for (struct sing_waiter *waiter = wanted->waiters; waiter != NULL; waiter = waiter->next) {
		if (waiter->node == NULL || !is_still(waiter, wanted->inode))
			continue;
		waiter->node->waiting = true;
		waiter->node->waiter = waiter;
	}
	wanted->inode = NULL;
}

int sing_links_move(struct sing_links *links, struct sing_wanted *wanted, const char *path, uint32_t layer,
		    uint64_t member)
{
	struct sing_wanted *target = want(links, path);

	if (target == NULL)
		return ENOMEM;
	if (target->inode != NULL) {
		sing_wanted_give(wanted, target->inode);
		return 0;
	}
	target->layer = layer;
	target->before = member;
	if (wanted->inode != NULL)
		wait_again(wanted);
	if (target != wanted)
		sing_links_join(links, wanted, target);
	return 0;
}

void sing_wanted_give(struct sing_wanted *wanted, struct sing_inode *inode)
{
	for (struct sing_waiter *waiter = wanted->waiters; waiter != NULL; waiter = waiter->next) {
		if (waiter->node == NULL || !is_still(waiter, wanted->inode))
			continue;
		waiter->node->waiting = false;
		waiter->node->inode = inode;
	}
	wanted->inode = inode;
}

static struct alias *find_alias(const struct sing_links *links, const char *path)
{
	struct alias **found = NULL;

	if (links->aliases != NULL)
		found = tfind(&path, &links->aliases, by_path);
	return found == NULL ? NULL : *found;
}

static void free_alias(void *thing)
{
	struct alias *alias = thing;

	free(alias->path);
	free(alias->target);
	free(alias);
}

int sing_links_alias(struct sing_links *links, const char *path, const char *target)
{
	struct alias *alias = calloc(1, sizeof *alias);

	sing_links_unalias(links, path);
	if (alias == NULL)
		return ENOMEM;
	alias->path = strdup(path);
	alias->target = strdup(sing_links_follow(links, target));
	if (alias->path != NULL && alias->target != NULL && tsearch(alias, &links->aliases, by_path) != NULL)
		return 0;
	free_alias(alias);
	return ENOMEM;
}

void sing_links_unalias(struct sing_links *links, const char *path)
{
	struct alias *alias = find_alias(links, path);

	if (alias == NULL)
		return;
	tdelete(alias, &links->aliases, by_path);
	free_alias(alias);
}

/* One step: targets were followed when they were noted. */
const char *sing_links_follow(const struct sing_links *links, const char *path)
{
	const struct alias *alias = find_alias(links, path);

	return alias == NULL ? path : alias->target;
}

static bool has_waiters(const struct sing_wanted *wanted)
{
	for (const struct sing_waiter *waiter = wanted->waiters; waiter != NULL; waiter = waiter->next)
		if (waiter->node != NULL)
			return true;
	return false;
}

bool sing_links_look_again(struct sing_links *links, uint32_t layer)
{
	bool any = false;

	for (struct sing_wanted *wanted = links->first; wanted != NULL; wanted = wanted->next) {
		wanted->again = wanted->inode == NULL && wanted->layer == layer && has_waiters(wanted);
		any = any || wanted->again;
	}
	return any;
}

void sing_links_end_layer(struct sing_links *links)
{
	struct sing_wanted **link = &links->first;

	tdestroy(links->aliases, free_alias);
	links->aliases = NULL;
	while (*link != NULL) {
		struct sing_wanted *wanted = *link;

		if (wanted->inode == NULL && has_waiters(wanted)) {
			link = &wanted->next;
			continue;
		}
		*link = wanted->next;
		if (wanted->moved != NULL) {
			/* waiters find the other one by it */
			wanted->next = links->gone;
			links->gone = wanted;
			continue;
		}
		tdelete(wanted, &links->by_path, by_path);
		free_wanted(wanted);
	}
}

void sing_waiter_leave(struct sing_waiter *waiter)
{
	waiter->node = NULL;
}

static void free_list(struct sing_wanted *wanted)
{
	while (wanted != NULL) {
		struct sing_wanted *next = wanted->next;

		free_wanted(wanted);
		wanted = next;
	}
}

static void keep(void *wanted)
{
	(void)wanted;
}

void sing_links_free(struct sing_links *links)
{
	tdestroy(links->by_path, keep);
	free_list(links->first);
	free_list(links->gone);
	tdestroy(links->aliases, free_alias);
	*links = (struct sing_links){ 0 };
}
