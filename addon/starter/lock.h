/* Locks on what takes changes, so that two containers never write to one overlay. */
#ifndef STARTER_LOCK_H
#define STARTER_LOCK_H

#include "inputs.h"

/*
 * Lock the part of the file that an ext3 takes: alone for a writer, with others for a reader. The lock belongs to the open
 * file and lasts as long as anybody has it open. Ends the process when somebody else has it.
 */
void lock_image(const struct op *op, int file);

/* The same for a directory that takes changes. Returns the descriptor that holds the lock. */
int lock_directory(const struct op *op);

/*
 * Show others that the file, which belongs to a cache, is in use (flock(2), shared), as long as anybody has it open. Where
 * that cannot be they may remove it.
 */
void hold_image(int file);

/*
 * Start the process that holds the locks of directories for as long as the overlay exists, where no program does it. Before
 * the mount namespace is unshared: in there it would keep the overlay alive.
 */
void start_keeper(const struct spec *spec, const struct input *inputs);

/* Tell the keeper, if there is one, which overlay it is. False with a refusal when it cannot be watched. */
bool watch_overlay(int root);

#endif
