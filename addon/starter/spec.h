/*
 * The launch spec as the starter holds it: docs/launch-spec.md in C. Strings point into argv and live as long as the
 * process; the arrays are allocated once while reading and never freed.
 */
#ifndef STARTER_SPEC_H
#define STARTER_SPEC_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum missing { MISSING_CREATE, MISSING_SKIP, MISSING_FAIL };

enum op_kind {
	OP_SQUASHFS,
	OP_EXT3,
	OP_DIRECTORY,
	OP_MEMORY,
	OP_OVERLAY,
	OP_LAYER_ROOT,
	OP_UNDERLAY,
	OP_LAYER_BIND,
	OP_BIND,
	OP_TMPFS,
	OP_PROC,
	OP_SYSFS,
	OP_DEVPTS,
	OP_MQUEUE,
	OP_MKDIR,
	OP_SYMLINK,
	OP_FILE,
	OP_RECORDS,
	OP_ANSWER,
	OP_FUSE,
	OP_ALLOW_SETUID,
	OP_READONLY,
};

enum filter { FILTER_NONE, FILTER_DEVICES, FILTER_FAKEROOT, FILTER_RECORD, FILTER_RECORD_DEVICES };

/* Whether another process notes what calls ask for: recorder.c. */
bool is_recording(enum filter filter);

/* One line that a passwd-like file must have; `same` and `keep` are checked when the spec is read. */
struct record_line {
	const char *line;
	bool replace;
	const char *same; /* index=value:index=value */
	const char *keep; /* index:index */
};

/* A layer below others: all of it, or the changes that it keeps in upper/. */
struct lower {
	unsigned layer;
	bool changes;
};

struct op {
	enum op_kind kind;
	const char *from;       /* host path: squashfs, ext3, directory, bind */
	const char *at;         /* absolute path in the root */
	const char *text;       /* file: its text; symlink: where it points to; layer-bind: path in the layer */
	enum missing missing;
	bool recursive, readonly, trusted, soft; /* bind; layer-bind: readonly */
	bool kernel;            /* squashfs, ext3: try a loop device first */
	bool held;              /* squashfs: others are to see that the file is in use */
	int key;                /* squashfs: a descriptor with what opens an encrypted one, or -1 */
	bool owned;             /* squashfs, ext3: show every file as owned by uid and gid */
	bool writable;          /* ext3; directory: it takes changes, so nobody else's may meet them */
	const char *program;    /* ext3, overlay: the FUSE program that does it, or NULL */
	bool userxattr;         /* overlay */
	uid_t uid;
	gid_t gid;
	uint64_t offset, size;
	mode_t mode;
	const char *layer;      /* name given to (squashfs, ext3, directory, memory) or used by (others) it */
	unsigned layer_number;  /* the same as a number, counted in the order of the spec */
	int upper;              /* overlay: number of the layer that takes changes, or -1 */
	const struct lower *lower; /* overlay: the layers below, topmost first */
	unsigned lower_count;
	const struct record_line *lines;
	unsigned line_count;
	bool inside;            /* fuse: the program is one of the container */
	char **words;           /* fuse: the program and its arguments, closed by NULL */
	char **environment;     /* fuse: of a program of the host, closed by NULL */
};

struct id_range {
	uint32_t inside, outside, count;
};

/* The kernel takes no more lines in a map than this (user_namespaces(7)). */
enum { MOST_RANGES = 340 };

struct id_map {
	struct id_range ranges[MOST_RANGES];
	unsigned count;
};

/* Whom to become before the payload runs. */
struct user {
	bool given;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	unsigned group_count;
};

enum { LONGEST_LABEL = 4096 };

/* What a security module is told to run the payload as. */
struct label {
	bool apparmor;    /* else SELinux */
	const char *text; /* or NULL */
};

/* A system call filter of the user's: instructions as seccomp(2) takes them. */
struct seccomp {
	unsigned flags;
	struct sock_filter *code;
	unsigned short length;
};

struct spec {
	bool debug;
	int namespaces; /* CLONE_NEW... */
	const char *network;    /* path of a net namespace to join, or NULL */
	pid_t join;             /* a process whose namespaces are entered instead, or 0 */
	uint64_t join_started;  /* when it was started, in clock ticks since boot */
	const char *meeting_place, *group; /* of processes that share the container; NULL: it is not shared */
	struct id_map uids, gids;
	const char *newuidmap, *newgidmap; /* NULL: the starter writes the maps */
	bool deny_setgroups;
	bool private_mounts;   /* what the host mounts later stays outside */
	const char *verified, *version; /* an image whose signatures hold, as it was then; or NULL */
	bool new_root;
	struct op *ops;
	unsigned op_count;
	const char *hostname; /* or NULL */
	int umask;            /* or -1 */
	bool init;
	bool die_with_parent;
	bool stay;            /* end only when all that was written is in its files */
	int sync;             /* socket to the engine, or -1 */
	int life;             /* what the process outside of a pid namespace, or process 1 of an instance, keeps open, or -1 */
	bool instance;        /* process 1 outlives the payload, and nobody waits outside */
	pid_t job;            /* ... but not this process, unless it is 0 */
	unsigned confirming;  /* ... and as many of the first programs say themselves that they run */
	int64_t open_files;   /* or -1 */
	bool no_new_privileges;
	bool all_capabilities; /* what is there stays */
	uint64_t capabilities; /* else: what stays of it */
	enum filter filter;
	struct user user;
	struct label label;
	struct seccomp seccomp;
	bool directory_required;
	char **directories;
	unsigned directory_count;
	char ***programs; /* each closed by NULL */
	unsigned program_count;
};

/* Read and check the whole spec; ends the process with a sentence when anything is wrong with it. */
void read_spec(int count, char **arguments, struct spec *spec);

#endif
