/* Takes rights away from mounts. */
#ifndef STARTER_RESTRICT_H
#define STARTER_RESTRICT_H

#include <stdbool.h>

/*
 * Add flags (MS_NOSUID, MS_NODEV, MS_RDONLY) to the mount that `fd` is the root of, an O_PATH descriptor. Flags that it
 * has stay: some are locked for a user namespace, and none is ours to clear. With `below` the mounts below it get them,
 * too, as far as they can be changed. False with errno.
 */
bool restrict_mount(int fd, unsigned long flags, bool below);

/* Take MS_NOSUID away from the mount that `fd` is the root of. False with errno. */
bool relax_mount(int fd);

#endif
