/* FUSE programs of the host: fuse2fs, fuse-overlayfs. */
#ifndef STARTER_DRIVER_H
#define STARTER_DRIVER_H

#include "stage.h"

/*
 * Run a FUSE program that mounts something at `at`, an empty directory of the stage, and goes into the background, and take its mount over: nothing is mounted
 * at `at` afterwards. `file` (or -1) is a descriptor that the program gets besides those that the stage holds. Returns a
 * descriptor of the mount for `place_mount`, or -1 with a refusal. The program ends with the mount.
 */
int mount_by_program(const struct stage *stage, const char *const arguments[], const char *at, int file);

/* Mount it at a directory (O_PATH), and close it. False with errno. */
bool place_mount(int mount, int directory);

#endif
