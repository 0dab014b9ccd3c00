/* Reads inodes: fourteen shapes on disk, one in memory. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <sqfs/inode.h>

#include "inode.h"
#include "layer.h"

/* Bytes of the common part, and of the longest of the parts that follow it. */
enum { HEAD_SIZE = 16, BODY_MAX = 40 };

/* Size of the part with a fixed length behind the common one, by type. */
static const uint8_t body_sizes[] = {
	[SQFS_INODE_DIR] = 16,      [SQFS_INODE_FILE] = 16,     [SQFS_INODE_SLINK] = 8,
	[SQFS_INODE_BDEV] = 8,      [SQFS_INODE_CDEV] = 8,      [SQFS_INODE_FIFO] = 4,
	[SQFS_INODE_SOCKET] = 4,    [SQFS_INODE_EXT_DIR] = 24,  [SQFS_INODE_EXT_FILE] = 40,
	[SQFS_INODE_EXT_SLINK] = 8, [SQFS_INODE_EXT_BDEV] = 12, [SQFS_INODE_EXT_CDEV] = 12,
	[SQFS_INODE_EXT_FIFO] = 8,  [SQFS_INODE_EXT_SOCKET] = 8,
};

uint32_t inode_type_mode(uint16_t type)
{
	static const uint32_t modes[] = {
		[SQFS_INODE_DIR] = S_IFDIR,  [SQFS_INODE_FILE] = S_IFREG, [SQFS_INODE_SLINK] = S_IFLNK,
		[SQFS_INODE_BDEV] = S_IFBLK, [SQFS_INODE_CDEV] = S_IFCHR, [SQFS_INODE_FIFO] = S_IFIFO,
		[SQFS_INODE_SOCKET] = S_IFSOCK,
	};

	if (type >= SQFS_INODE_EXT_DIR)
		type -= SQFS_INODE_EXT_DIR - SQFS_INODE_DIR;
	return type < sizeof modes / sizeof modes[0] ? modes[type] : 0;
}

static void read_directory(struct inode *inode, const uint8_t *body)
{
	inode->directory.block = get32(body);
	inode->links = get32(body + 4);
	inode->size = get16(body + 8);
	inode->directory.offset = get16(body + 10);
	inode->directory.parent = get32(body + 12);
}

static void read_extended_directory(struct inode *inode, const uint8_t *body)
{
	inode->links = get32(body);
	inode->size = get32(body + 4);
	inode->directory.block = get32(body + 8);
	inode->directory.parent = get32(body + 12);
	inode->directory.index_count = get16(body + 16);
	inode->directory.offset = get16(body + 18);
	inode->xattr = get32(body + 20);
}

static void read_file(struct inode *inode, const uint8_t *body)
{
	inode->links = 1;
	inode->file.start = get32(body);
	inode->file.fragment = get32(body + 4);
	inode->file.fragment_offset = get32(body + 8);
	inode->size = get32(body + 12);
}

static void read_extended_file(struct inode *inode, const uint8_t *body)
{
	inode->file.start = get64(body);
	inode->size = get64(body + 8);
	inode->file.sparse = get64(body + 16);
	inode->links = get32(body + 24);
	inode->file.fragment = get32(body + 28);
	inode->file.fragment_offset = get32(body + 32);
	inode->xattr = get32(body + 36);
}

/* Its attributes' index lies behind the target. */
static int read_link_xattr(struct inode *inode, struct cursor *cursor)
{
	uint8_t bytes[4];
	int error = inode->size > TARGET_MAX ? 0 : cursor_skip(cursor, inode->size);

	if (error == 0)
		error = cursor_read(cursor, bytes, sizeof bytes);
	if (error == 0)
		inode->xattr = get32(bytes);
	return error;
}

static int read_body(struct inode *inode, uint16_t type, const uint8_t *body, struct cursor *cursor)
{
	switch (type) {
	case SQFS_INODE_DIR:
		read_directory(inode, body);
		return 0;
	case SQFS_INODE_EXT_DIR:
		read_extended_directory(inode, body);
		return 0;
	case SQFS_INODE_FILE:
		read_file(inode, body);
		return 0;
	case SQFS_INODE_EXT_FILE:
		read_extended_file(inode, body);
		return inode->size > INT64_MAX ? -EIO : 0;
	case SQFS_INODE_SLINK:
	case SQFS_INODE_EXT_SLINK:
		inode->links = get32(body);
		inode->size = get32(body + 4);
		return type == SQFS_INODE_EXT_SLINK ? read_link_xattr(inode, cursor) : 0;
	case SQFS_INODE_EXT_BDEV:
	case SQFS_INODE_EXT_CDEV:
		inode->xattr = get32(body + 8);
		/* fall through */
	case SQFS_INODE_BDEV:
	case SQFS_INODE_CDEV:
		inode->links = get32(body);
		inode->device = get32(body + 4);
		return 0;
	case SQFS_INODE_EXT_FIFO:
	case SQFS_INODE_EXT_SOCKET:
		inode->xattr = get32(body + 4);
		/* fall through */
	default:
		inode->links = get32(body);
		return 0;
	}
}

static int read_owner(struct image *image, struct inode *inode, const uint8_t *head)
{
	uint16_t user = get16(head + 4);
	uint16_t group = get16(head + 6);
	int error;

	if (image->owned && !image->noted) {
		inode->uid = image->uid;
		inode->gid = image->gid;
		return 0;
	}
	error = image_id(image, user, &inode->uid);
	if (error != 0 || group != user)
		return error != 0 ? error : image_id(image, group, &inode->gid);
	inode->gid = inode->uid;
	return 0;
}

static int seek_inode(struct image *image, inode_reference reference, struct cursor *cursor)
{
	uint64_t table = image->super.inode_table_start;
	struct position at = { table + (reference >> 16), reference & 0xffff };

	return cursor_seek(cursor, image, at, image->super.directory_table_start);
}

int inode_read(struct image *image, inode_reference reference, struct inode *inode)
{
	CURSOR cursor = { 0 };
	uint8_t head[HEAD_SIZE];
	uint8_t body[BODY_MAX];
	uint16_t type;
	int error;

	memset(inode, 0, sizeof *inode);
	inode->xattr = NO_INDEX;
	error = seek_inode(image, reference, &cursor);
	if (error == 0)
		error = cursor_read(&cursor, head, sizeof head);
	if (error != 0)
		return error;
	type = get16(head);
	if (inode_type_mode(type) == 0)
		return image_damaged(image, "inode %#" PRIx64 " is of no known type (%d)", reference, type);
	inode->mode = inode_type_mode(type) | (get16(head + 2) & 07777);
	inode->mtime = get32(head + 8);
	inode->number = get32(head + 12);
	error = cursor_read(&cursor, body, body_sizes[type]);
	if (error != 0)
		return error;
	inode->rest = cursor_position(&cursor);
	error = read_body(inode, type, body, &cursor);
	if (error == 0)
		error = read_owner(image, inode, head);
	if (error == 0 && image->noted)
		layer_record(image, inode);
	return error;
}

/* As new_decode_dev of the kernel. */
dev_t inode_device(uint32_t device)
{
	return makedev((device & 0xfff00) >> 8, (device & 0xff) | (device >> 12 & 0xfff00));
}

void inode_stat(const struct inode *inode, struct stat *stat)
{
	memset(stat, 0, sizeof *stat);
	stat->st_ino = inode->number;
	stat->st_mode = inode->mode;
	stat->st_nlink = inode->links;
	stat->st_uid = inode->uid;
	stat->st_gid = inode->gid;
	stat->st_size = (off_t)inode->size;
	stat->st_blksize = 4096;
	stat->st_mtime = inode->mtime;
	stat->st_ctime = inode->mtime;
	stat->st_atime = inode->mtime;
	if (S_ISREG(inode->mode)) {
		uint64_t stored = inode->file.sparse < inode->size ? inode->size - inode->file.sparse : 0;

		stat->st_blocks = (blkcnt_t)((stored + 511) / 512);
	}
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		stat->st_rdev = inode_device(inode->device);
}

int inode_target(struct image *image, const struct inode *inode, char target[TARGET_MAX + 1])
{
	CURSOR cursor = { 0 };
	int error;

	if (inode->size == 0 || inode->size > TARGET_MAX)
		return image_damaged(image, "the link %" PRIu32 " has a target of %" PRIu64 " bytes", inode->number,
				     inode->size);
	error = cursor_seek(&cursor, image, inode->rest, image->super.directory_table_start);
	if (error == 0)
		error = cursor_read(&cursor, target, inode->size);
	target[error == 0 ? inode->size : 0] = '\0';
	return error;
}
