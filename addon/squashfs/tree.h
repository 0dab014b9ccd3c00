/* The tree that is being packed: inodes and the names they have, kept in memory until the tables are written. */
#ifndef SING_TREE_H
#define SING_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqfs/inode.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SING_NAME_LIMIT = 256 }; /* the longest name that squashfs can hold */
enum { SING_DEPTH_LIMIT = 1024 }; /* directories inside each other; bounds recursion here and in the reader */
#define SING_NO_XATTRS 0xffffffffu

struct sing_name;

struct sing_inode {
	struct sing_inode *next; /* of all inodes of the image */
	uint32_t mode;           /* with the type */
	uint32_t uid;
	uint32_t gid;
	uint32_t mtime;
	uint32_t links; /* names; of a directory 2 and one for each directory in it */
	uint32_t number; /* 0: not numbered yet */
	uint32_t xattrs; /* index in the table, or SING_NO_XATTRS */
	uint64_t place;  /* reference into the inode table, once written */
	bool written;
	union {
		struct {
			struct sing_name *names; /* sorted by byte values */
			size_t count;
			size_t room;
		} directory;
		sqfs_inode_generic_t *file; /* made and grown by the block processor */
		char *target;
		uint32_t device; /* as squashfs stores it */
	};
};

struct sing_name {
	char *text;
	struct sing_inode *inode;
};

/* A new inode without a name; NULL without memory. */
struct sing_inode *sing_inode_create(uint32_t mode);

/* Free an inode with the names that it holds, not with the inodes that these name. */
void sing_inode_destroy(struct sing_inode *inode);

/* Give an inode a name in a directory. Returns 0, EEXIST, ENOMEM, ENAMETOOLONG or SING_NAME. */
int sing_tree_add(struct sing_inode *directory, const char *name, size_t length, struct sing_inode *inode);

/* Take a name away, with everything below it; its inode stays. Returns the number of names that went. */
uint64_t sing_tree_remove(struct sing_inode *directory, const char *name, size_t length);

/* The inode of that name, or NULL. */
struct sing_inode *sing_tree_find(const struct sing_inode *directory, const char *name, size_t length);

#ifdef __cplusplus
}
#endif

#endif
