/* The order of inodes of layers, and what was met of them. */
#include "part.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "failure.h"

int sing_part_order(const void *left, const void *right)
{
	const struct sing_part *a = left;
	const struct sing_part *b = right;

	if (a->layer != b->layer)
		return a->layer < b->layer ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

int sing_part_meet(void **met, struct sing_part part)
{
	struct sing_part *noted = malloc(sizeof *noted);
	struct sing_part **found;

	if (noted == NULL)
		return ENOMEM;
	*noted = part;
	found = tsearch(noted, met, sing_part_order);
	if (found != NULL && *found == noted)
		return 0;
	free(noted);
	return found == NULL ? ENOMEM : SING_NESTED;
}
