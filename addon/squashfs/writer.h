/*
 * Writes a squashfs image into a slot of an open file, block by block, without a temporary file. The sources of entries
 * (walk.c: a directory; entries.c: a stream of paths) call it; it calls libsquashfs.
 */
#ifndef SING_WRITER_H
#define SING_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "tree.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_base;
struct sing_encryption;

struct sing_writer_options {
	int fd; /* stays the caller's */
	uint64_t offset;
	uint16_t compressor; /* SQFS_COMP_GZIP, _XZ, _LZ4 or _ZSTD */
	uint32_t level;      /* lz4: 0 is fast, more is "hc" */
	uint32_t block_size; /* a power of two from 4 KiB to 1 MiB */
	uint32_t workers;    /* threads that compress, at least 1 */
	bool own;            /* all files belong to uid:gid */
	bool own_unknown;    /* but those whose owner is known for sure, with `own` */
	uint32_t uid;
	uint32_t gid;
	bool clamp;          /* no time is later than `time`, which is also the time of the image */
	uint32_t time;
	struct sing_base *base; /* the layers that files may be adopted from (base.h), or NULL; stays the caller's */
	const struct sing_encryption *encryption; /* what the image is encrypted with (encrypted.h), or NULL; stays the caller's */
	bool (*proceed)(void *user, uint64_t bytes); /* told the bytes of files so far; false: stop. May be NULL */
	void *user;
};

struct sing_xattr {
	const char *name; /* with prefix */
	const void *value;
	size_t size;
};

struct sing_attributes {
	uint32_t mode; /* with the type */
	uint32_t uid;
	uint32_t gid;
	int64_t mtime;
	uint32_t major;
	uint32_t minor;
	const char *target;
	bool known; /* the owner is what it should be, not what this machine could make it */
	sqfs_inode_generic_t *adopted; /* NULL, or what a regular file becomes the contents of: no data follows */
	unsigned layer;                /* of the base, whose inode that is; it becomes the writer's unless that fails */
	const struct sing_xattr *xattrs; /* sorted by name; those without a place in squashfs are left out */
	size_t xattr_count;
};

struct sing_result {
	uint64_t size;    /* of the image with padding, a multiple of 4096 */
	uint64_t entries; /* names, without that of the root */
	uint64_t bytes;   /* of files */
};

struct sing_writer;

/* Begin an image. NULL with a failure. The writer is used by one thread at a time. */
struct sing_writer *sing_writer_open(const struct sing_writer_options *options, struct sing_failure *failure);

/* The root directory: mode 0755, owner 0, time 0 until it is described. */
struct sing_inode *sing_writer_root(struct sing_writer *writer);

/*
 * The functions below return 0, or a reason as in failure.h, after which the image cannot be finished.
 */

/* Describe an inode: everything but type, content and names. */
int sing_writer_describe(struct sing_writer *writer, struct sing_inode *inode, const struct sing_attributes *attributes);

/* A new inode without a name. A regular file begins here: its data follows and sing_writer_end ends it. */
int sing_writer_begin(struct sing_writer *writer, const struct sing_attributes *attributes, struct sing_inode **out);

/* A name for an inode; a directory gets one only, others as many as they want. Inodes without one are not in the image. */
int sing_writer_link(struct sing_writer *writer, struct sing_inode *directory, const char *name, size_t length,
		     struct sing_inode *inode);

/* Take a name away, with everything below it. */
void sing_writer_remove(struct sing_writer *writer, struct sing_inode *directory, const char *name, size_t length);

/* A new inode with its name. */
int sing_writer_create(struct sing_writer *writer, struct sing_inode *directory, const char *name, size_t length,
		       const struct sing_attributes *attributes, struct sing_inode **out);

int sing_writer_data(struct sing_writer *writer, const void *data, size_t size);
int sing_writer_zeros(struct sing_writer *writer, uint64_t size);
int sing_writer_end(struct sing_writer *writer);

/* Write the tables and the superblock. The file is cut off behind the image when it ended before the slot at the start. */
int sing_writer_finish(struct sing_writer *writer, struct sing_result *result);

/* Free; may be called at any time and with NULL. */
void sing_writer_close(struct sing_writer *writer);

#ifdef __cplusplus
}
#endif

#endif
