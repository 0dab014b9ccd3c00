/*
 * An opened squashfs image: its tables, and a cursor over its metadata. All numbers from the image are checked here or
 * where they are used; everything may be called from any thread.
 */
#ifndef SING_IMAGE_H
#define SING_IMAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sqfs/io.h>
#include <sqfs/super.h>

#include "cache.h"

/* Size of an unpacked metadata block (squashfs 4.0). */
enum { METADATA_SIZE = 8192 };

/* "No such table", and "no such index", in the super block and in inodes. */
#define NO_TABLE UINT64_MAX
#define NO_INDEX UINT32_MAX

struct ahead;
struct trails;

struct image {
	sqfs_file_t *file;
	sqfs_super_t super;
	struct cache *metadata;
	struct cache *blocks;
	struct ahead *ahead;
	struct trails *trails;
	/* where the first owners are listed; 0: not known yet */
	_Atomic uint64_t first_ids;
	/* every inode belongs to uid:gid */
	bool owned;
	uid_t uid;
	gid_t gid;
	/* one of the layers of an overlay: of its attributes only those are shown that mean something to that (layer.h) */
	bool stacked;
	/* and for a user namespace, which can make no devices: what cannot be shown is noted (layer.h) */
	bool noted;
	/* tell about damage on stderr */
	bool debug;
};

/* A place in the metadata: a block, by its offset in the image, and a byte in it once unpacked. */
struct position {
	uint64_t block;
	uint32_t offset;
};

/* A moving place in the metadata. It holds a block of the cache: declare with CURSOR, so that it is given back. */
struct cursor {
	struct image *image;
	const struct block *block;
	uint32_t offset;
	uint64_t limit;
};

#define CURSOR __attribute__((cleanup(cursor_close))) struct cursor

/*
 * Opens the image in `file` for `threads` users at a time. Returns NULL with a sentence in `reason` when it is no squashfs
 * image that we can read.
 */
struct image *image_open(sqfs_file_t *file, unsigned threads, const char **reason);

/* Tells about damage (when asked to) and returns -EIO. */
int image_damaged(const struct image *image, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Reads entry `index` of a table of `size`-byte entries: an array of metadata blocks whose offsets are listed from
 * `table` on. The caller has checked the index against the table's length. 0 or a negative errno.
 */
int image_table_entry(struct image *image, uint64_t table, uint32_t index, uint32_t size, void *entry);

/* The user or group id with this index. 0 or a negative errno. */
int image_id(struct image *image, uint16_t index, uint32_t *id);

/* The most metadata that can lie between two offsets of the image, in bytes once unpacked. */
uint64_t image_metadata_bound(uint64_t from, uint64_t to);

/* Places the cursor; what it reads must begin before `limit` in the image. 0 or a negative errno. */
int cursor_seek(struct cursor *cursor, struct image *image, struct position at, uint64_t limit);

/* Reads or skips the next `size` bytes, over the ends of blocks. 0 or a negative errno. */
int cursor_read(struct cursor *cursor, void *to, size_t size);
int cursor_skip(struct cursor *cursor, uint64_t size);

/* What is left of the block under the cursor (more than nothing), to look at without copying. 0 or a negative errno. */
int cursor_peek(struct cursor *cursor, const uint8_t **bytes, size_t *size);

struct position cursor_position(const struct cursor *cursor);
void cursor_close(struct cursor *cursor);

/* Little-endian numbers in bytes from the image. */
static inline uint16_t get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t get32(const uint8_t *bytes)
{
	return get16(bytes) | (uint32_t)get16(bytes + 2) << 16;
}

static inline uint64_t get64(const uint8_t *bytes)
{
	return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

#endif
