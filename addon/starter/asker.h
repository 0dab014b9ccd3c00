/* The process whose system call waits for an answer, and the tree of files as it sees it. Errors are negative errnos. */
#ifndef STARTER_ASKER_H
#define STARTER_ASKER_H

#include <limits.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/types.h>

struct asker {
	int listener; /* where its call was heard */
	__u64 id;     /* of the call; the kernel forgets it when the process is gone or was interrupted */
	pid_t pid;    /* of the thread */
	int process;  /* its directory in /proc */
};

/* The tree that is ours. Before anything else of this, and once. False with errno. */
bool note_own_tree(void);

int open_asker(int listener, const struct seccomp_notif *notice, struct asker *asker);
void close_asker(const struct asker *asker);

/* Whether its ids are of our user namespace; one of a namespace further inside means others by them. */
bool has_our_ids(const struct asker *asker);

/* A path in its memory. */
int read_path(const struct asker *asker, __u64 address, char path[PATH_MAX]);

struct asker_status {
	mode_t umask;
	bool makes_devices; /* CAP_MKNOD */
};

int read_status(const struct asker *asker, struct asker_status *status);

/* What its descriptor stands for, AT_FDCWD included, as O_PATH. */
int open_descriptor(const struct asker *asker, int number);

/* The path of an open file in the tree that it sees. */
int name_file(const struct asker *asker, int file, char path[PATH_MAX]);

/*
 * What a path stands for, as O_PATH: from the descriptor `from` if it is relative, within the root that it has, at the mounts
 * that it sees. The calling thread must have a root of its own (CLONE_FS).
 */
int find_file(const struct asker *asker, int from, const char *path, bool follow);

#endif
