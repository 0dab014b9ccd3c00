/*
 * Reads a squashfs image: paths, inodes, names, file contents, extended attributes. Every number of the image is
 * checked before it is used; a damaged or hostile image gives errors.
 */
#ifndef SING_READER_H
#define SING_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqfs/inode.h>
#include <sqfs/super.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sing_image;

struct sing_stat {
	uint32_t mode; /* with the type */
	uint32_t uid;
	uint32_t gid;
	uint32_t mtime;
	uint32_t number;
	uint32_t links;
	uint32_t major;
	uint32_t minor;
	uint64_t size;
};

/*
 * All functions return 0 or a reason as in failure.h. An image is used by one thread at a time; sing_data is what several
 * threads may have one each of.
 */

/* Open the image at [offset, offset+size) of the descriptor, which stays the caller's; `key` as in plain.h. */
int sing_image_open(int fd, uint64_t offset, uint64_t size, int key, struct sing_image **out);
void sing_image_close(struct sing_image *image);

const sqfs_super_t *sing_image_super(const struct sing_image *image);

/*
 * Find the inode of a path. Links on the way are followed inside the image, the last one only if `follow`; '..' at the root
 * stays there. SING_NOT_FOUND when there is no such path. Freed by sqfs_free. `place` may be NULL.
 */
int sing_image_find(struct sing_image *image, const char *path, bool follow, sqfs_inode_generic_t **out, uint64_t *place);

/* The inode at a place that a directory named. */
int sing_image_inode(struct sing_image *image, uint64_t place, sqfs_inode_generic_t **out);

int sing_image_stat(const struct sing_image *image, const sqfs_inode_generic_t *inode, struct sing_stat *out);

/* The target of a link: not terminated, at most 4096 bytes, part of the inode. */
int sing_image_target(const sqfs_inode_generic_t *inode, const char **out, size_t *length);

/* Called for each name, which was checked to be one; anything but 0 ends the listing and is its result. */
typedef int (*sing_name_visitor)(void *user, const char *name, uint64_t place);
int sing_image_list(struct sing_image *image, const sqfs_inode_generic_t *directory, sing_name_visitor visit, void *user);

/* Called for each attribute; the name has its prefix. */
typedef int (*sing_xattr_visitor)(void *user, const char *name, const void *value, size_t size);
int sing_image_xattrs(struct sing_image *image, const sqfs_inode_generic_t *inode, sing_xattr_visitor visit, void *user);

/* Buffers and a decompressor for reading the contents of files, for one thread. The image must outlive it. */
struct sing_data;
int sing_data_open(const struct sing_image *image, struct sing_data **out);
void sing_data_close(struct sing_data *data);

/* Called for each stretch of the file from its beginning; `bytes` is NULL for a hole. */
typedef int (*sing_data_visitor)(void *user, uint64_t offset, const void *bytes, size_t size);
int sing_data_read(struct sing_data *data, const sqfs_inode_generic_t *inode, sing_data_visitor visit, void *user);

/* The same for the bytes [from, from + length) alone, as far as the file has them. */
int sing_data_range(struct sing_data *data, const sqfs_inode_generic_t *inode, uint64_t from, uint64_t length,
		    sing_data_visitor visit, void *user);

/* The number of the fragment block that holds the end of a file, or 0xffffffff. */
uint32_t sing_fragment_of(const sqfs_inode_generic_t *inode);

#ifdef __cplusplus
}
#endif

#endif
