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
	wanted->layer = layer;
	wanted->before = member;
	node->waiting = true;
	node->waiter = waiter;
	return 0;
}

int sing_links_move(struct sing_links *links, struct sing_wanted *wanted, const char *target, uint32_t layer,
		    uint64_t member)
{
	for (struct sing_waiter *waiter = wanted->waiters; waiter != NULL; waiter = waiter->next) {
		struct sing_node *node = waiter->node;

		if (node == NULL)
			continue;
		sing_waiter_leave(waiter);
		node->waiting = false;
		if (sing_links_wait(links, target, node, layer, member) != 0)
			return ENOMEM;
	}
	return 0;
}

void sing_wanted_give(struct sing_wanted *wanted, struct sing_inode *inode)
{
	wanted->inode = inode;
	for (struct sing_waiter *waiter = wanted->waiters; waiter != NULL; waiter = waiter->next) {
		if (waiter->node == NULL)
			continue;
		waiter->node->waiting = false;
		waiter->node->inode = inode;
	}
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
		tdelete(wanted, &links->by_path, by_path);
		free_wanted(wanted);
	}
}

void sing_waiter_leave(struct sing_waiter *waiter)
{
	waiter->node = NULL;
}

void sing_links_free(struct sing_links *links)
{
	while (links->first != NULL) {
		struct sing_wanted *next = links->first->next;

		tdelete(links->first, &links->by_path, by_path);
		free_wanted(links->first);
		links->first = next;
	}
	tdestroy(links->aliases, free_alias);
	links->aliases = NULL;
}
