/* Inodes of the image. */
#ifndef SING_INODE_H
#define SING_INODE_H

#include <sys/stat.h>

#include "../squashfs/record.h"
#include "image.h"

/* Where an inode lies: offset of its metadata block in the inode table << 16 | byte in the block. Unique per inode. */
typedef uint64_t inode_reference;

/* One inode, in the same shape for the basic and the extended types of the format. */
struct inode {
	/* file type and permissions, as in st_mode */
	uint32_t mode;
	uint32_t number;
	uint32_t uid;
	uint32_t gid;
	uint32_t mtime;
	uint32_t links;
	uint32_t device;
	/* what it is, when it is shown as something else (layer.h) */
	bool recorded;
	struct sing_record record;
	/* index of its extended attributes, or NO_INDEX */
	uint32_t xattr;
	/* bytes of a file, a link's target, a directory's listing */
	uint64_t size;
	/* what follows the inode: block sizes, the target, the directory's index */
	struct position rest;
	union {
		struct {
			uint64_t start;
			uint64_t sparse;
			uint32_t fragment;
			uint32_t fragment_offset;
		} file;
		struct {
			uint32_t block;
			uint32_t offset;
			uint32_t parent;
			uint16_t index_count;
		} directory;
	};
};

/* The longest target of a symbolic link that the kernel takes from a file system. */
enum { TARGET_MAX = 4095 };

/* Reads the inode at `reference`. 0 or a negative errno. */
int inode_read(struct image *image, inode_reference reference, struct inode *inode);

/* A device number as the format records it. */
dev_t inode_device(uint32_t device);

/* What stat shows of it. */
void inode_stat(const struct inode *inode, struct stat *stat);

/* The target of a symbolic link, ended by NUL. 0 or a negative errno. */
int inode_target(struct image *image, const struct inode *inode, char target[TARGET_MAX + 1]);

/* The file type bits of st_mode for a type as directories and inodes record it (basic or extended); 0 for none. */
uint32_t inode_type_mode(uint16_t type);

#endif
