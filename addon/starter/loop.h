/* Loop devices: a part of a file as a block device, for the kernel's own file systems. */
#ifndef STARTER_LOOP_H
#define STARTER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Attach a free loop device to [offset, offset+size) of the file. It detaches itself with its last user.
 * Returns its descriptor, or -1 with a refusal.
 */
int attach_loop(int file, uint64_t offset, uint64_t size, bool writable);

#endif
