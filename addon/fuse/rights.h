/* Giving up rights: the server reads untrusted bytes and needs next to nothing. */
#ifndef SING_RIGHTS_H
#define SING_RIGHTS_H

#include <stddef.h>

/* Closes every descriptor but `keep`, which is sorted. */
void rights_close_all_but(const int *keep, size_t count);

/*
 * Drops capabilities, the right to gain any, and all system calls but those for answering requests and starting threads.
 * What the kernel does not offer is left out: this is the second line of defence. Threads started later inherit it.
 */
void rights_drop(void);

#endif
