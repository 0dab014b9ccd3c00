/* Enters the container of a process that runs already: an instance, or a rank of the same job. */
#ifndef STARTER_JOIN_H
#define STARTER_JOIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The namespaces of a process that differ from ours, open; -1 where they are the same. */
enum { NAMESPACE_KINDS = 7 };
struct container {
	int fds[NAMESPACE_KINDS];
};

/* When a process was started, in clock ticks since boot; 0 when there is none, or only what its parent has not heard of. */
uint64_t start_time(const char *pid);

/*
 * Open the namespaces of a process; false with a refusal when it is not there any more (another may have its pid), or is
 * not ours to enter.
 */
bool open_container(pid_t pid, uint64_t started, struct container *container);

/* Which user and mount namespace these are, as their inodes; 0 for those that are ours. */
uint64_t user_namespace_of(const struct container *container);
uint64_t mount_namespace_of(const struct container *container);

/* Enter them. The descriptors are closed. True when the next child will be in another pid namespace. */
bool enter_container(const struct container *container);
void close_container(const struct container *container);

#endif
