/* Files that take the place of others, whose owners are only noted. */
#ifndef STARTER_SUCCESSOR_H
#define STARTER_SUCCESSOR_H

#include "asker.h"
#include "ownership.h"

/* A file, open as O_PATH, is given to root by a descriptor. What is noted of the one that it follows; false when it follows none. */
bool follows_another(const struct asker *asker, int file, struct ownership *ownership);

#endif
