/* What operations take from the host: opened before the mounts of the container could hide it. */
#ifndef STARTER_INPUTS_H
#define STARTER_INPUTS_H

#include "spec.h"

/* Belongs to the operation with the same index. Descriptors are -1 when there is none. */
struct input {
	int file;   /* the source of a bind or directory, the image of a squashfs or ext3, the old /proc or /sys */
	int lock;   /* the directory that is locked as long as this descriptor is open anywhere */
	int error;  /* errno of opening it, 0 when that went well */
	int loop;   /* a loop device on the image */
	int fuse;   /* /dev/fuse, for the mount */
	int line;   /* to a server that waits for it, of an encrypted image */
	int far;    /* the other end of that */
	int go;     /* the pipe that tells the server to begin */
	pid_t middle; /* who starts the server and ends at once; 0: nobody */
	int report; /* the pipe in which a server that could not start says its errno; end of file: it runs */
};

/* Open the images, and lock what takes changes, while the starter still is who the user is. One input per operation; never
   freed. */
struct input *open_images(const struct spec *spec);

/* Open all other sources, in the private mount namespace: mount(2) takes nothing from another. */
void open_sources(const struct spec *spec, struct input *inputs);

#endif
