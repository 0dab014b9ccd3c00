/* Inodes of several layers, and sets of them: a directory that has two names could hold itself. */
#ifndef SING_PART_H
#define SING_PART_H

#include <stdint.h>

/* An inode of one of the layers. */
struct sing_part {
	unsigned layer;
	uint64_t place;
};

/* By layer and place, also for what begins with a part: an order for tsearch(3). */
int sing_part_order(const void *left, const void *right);

/* Note a part in the tree `met`, which the caller destroys with free. SING_NESTED when it was there; ENOMEM. */
int sing_part_meet(void **met, struct sing_part part);

#endif
