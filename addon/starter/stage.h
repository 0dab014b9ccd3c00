/*
 * The stage: where the new root is put together, in the private mount namespace. Everything in it is reached through
 * descriptors; only the kernel's own /proc/self/fd names are ever used as paths.
 */
#ifndef STARTER_STAGE_H
#define STARTER_STAGE_H

#include "inputs.h"

enum { MOST_MEMORIES = 64, MOST_ROOMS = 256, MOST_HELD = 32 };

struct stage {
	int fd;              /* the stage's tmpfs, -1 until there is one */
	const char *covered; /* host directory that the tmpfs lies over */
	int root;            /* the root that places are resolved in, -1 until an operation makes it */
	bool image;          /* the root is an image, whose links nobody vouches for */
	uint64_t root_mount; /* mount ids: of the root, and of the tmpfs that operations put into it */
	uint64_t memories[MOST_MEMORIES];
	unsigned memory_count;
	unsigned file_count; /* files made below files/ */
	int held[MOST_HELD]; /* descriptors that servers keep open: locks, and the pipe of who waits for their end */
	unsigned held_count;
	bool underlay;       /* the root is made of binds of an image */
	uint64_t *pieces;    /* mount ids of these binds, and of the memory between them */
	unsigned piece_count;
	int rooms[MOST_ROOMS]; /* that memory, O_PATH */
	unsigned room_count;
};

/* `/proc/self/fd/N`, for system calls that want a path. */
struct fd_path {
	char text[32];
};
struct fd_path path_of(int fd);

/* Close the descriptor when its variable goes out of scope: `__attribute__((cleanup(close_fd))) int fd`. */
void close_fd(const int *fd);
#define AUTO_CLOSE __attribute__((cleanup(close_fd)))

/* Prepare for operations: a stage with layers/ and files/ for a new root, the host's tree otherwise. */
void set_stage(const struct spec *spec, struct stage *stage);

/* Have the servers that mount things keep the locks, and `written` (or -1), as long as they live. */
void hold_in_servers(const struct spec *spec, const struct input *inputs, int written, struct stage *stage);

/* The stage's tmpfs is mounted when it is first needed (host tree); false with a refusal when it cannot be. */
bool need_stage(struct stage *stage);

/* Enter the new root and let go of the old tree; for the host's tree take the stage away again. */
void enter_root(const struct spec *spec, struct stage *stage);

#endif
