/* Takes inodes, names and data of files and hands the data to libsquashfs's block processor. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqfs/block.h>
#include <sqfs/error.h>
#include <sqfs/xattr.h>

#include "adopt.h"
#include "base.h"
#include "blocks.h"
#include "encrypted.h"
#include "file.h"
#include "release.h"
#include "window.h"
#include "writer_internal.h"

enum { SLOT_ALIGNMENT = 4096 };

/* Blocks on their way may take this much memory, however many workers there are. */
enum { BACKLOG_BYTES = 24 * 1024 * 1024 };

int sing_writer_reason(const struct sing_writer *writer, int error)
{
	return sing_file_reason(writer->file, error);
}

typedef sqfs_s32 (*press_fn)(sqfs_compressor_t *, const sqfs_u8 *, sqfs_u32, sqfs_u8 *, sqfs_u32);
static _Atomic(press_fn) press_lz4;

/* What lz4 makes larger libsquashfs would keep, and other readers take for damage: without room for it the block stays as it is. */
static sqfs_s32 press_smaller(sqfs_compressor_t *compressor, const sqfs_u8 *in, sqfs_u32 size, sqfs_u8 *out,
			      sqfs_u32 room)
{
	return press_lz4(compressor, in, size, out, size > 0 && size <= room ? size - 1 : room);
}

static int create_compressors(struct sing_writer *writer)
{
	const struct sing_writer_options *options = &writer->options;
	sqfs_compressor_config_t config;
	int error = sqfs_compressor_config_init(&config, options->compressor, options->block_size, 0);

	if (error != 0)
		return error;
	if (options->compressor == SQFS_COMP_LZ4)
		config.flags = options->level > 0 ? SQFS_COMP_FLAG_LZ4_HC : 0;
	else
		config.level = options->level;
	error = sqfs_compressor_create(&config, &writer->compressor);
	if (error != 0)
		return error;
	if (options->compressor == SQFS_COMP_LZ4) {
		press_lz4 = writer->compressor->do_block;
		writer->compressor->do_block = press_smaller;
	}
	config.flags |= SQFS_COMP_FLAG_UNCOMPRESS;
	return sqfs_compressor_create(&config, &writer->decompressor);
}

static int write_start(struct sing_writer *writer)
{
	const struct sing_writer_options *options = &writer->options;
	int error = sqfs_super_init(&writer->super, options->block_size, 0, options->compressor);

	if (error == 0)
		error = sqfs_super_write(&writer->super, writer->file);
	if (error == 0)
		error = writer->compressor->write_options(writer->compressor, writer->file);
	if (error > 0) {
		writer->super.flags |= SQFS_FLAG_COMPRESSOR_OPTIONS;
		error = 0;
	}
	return error;
}

/* Enough blocks that no worker waits, within the bounds of memory. */
static uint32_t backlog(const struct sing_writer_options *options)
{
	uint32_t most = BACKLOG_BYTES / options->block_size;
	uint32_t wanted = options->workers * 10;
	uint32_t least = options->workers + 2;

	if (wanted > most)
		wanted = most;
	return wanted < least ? least : wanted;
}

static int create_processor(struct sing_writer *writer)
{
	sqfs_block_processor_desc_t description = { 0 };

	writer->blocks = sing_blocks_create(writer->file);
	writer->fragments = sqfs_frag_table_create(0);
	writer->ids = sqfs_id_table_create(0);
	writer->xattrs = sqfs_xattr_writer_create(0);
	if (writer->blocks == NULL || writer->fragments == NULL || writer->ids == NULL || writer->xattrs == NULL)
		return SQFS_ERROR_ALLOC;
	description.size = sizeof description;
	description.max_block_size = writer->options.block_size;
	description.num_workers = writer->options.workers;
	description.max_backlog = backlog(&writer->options);
	description.cmp = writer->compressor;
	description.wr = writer->blocks;
	description.tbl = writer->fragments;
	/* with these two equal fragments are compared, not only their 32 bit checksums */
	description.file = writer->file;
	description.uncmp = writer->decompressor;
	return sqfs_block_processor_create_ex(&description, &writer->processor);
}

static int open_file(struct sing_writer *writer)
{
	const struct sing_writer_options *options = &writer->options;

	if (options->encryption != NULL)
		return sing_encrypted_begin(options->fd, options->offset, options->encryption, &writer->file);
	writer->file = sing_window_open(options->fd, options->offset, UINT64_MAX, true);
	return writer->file == NULL ? ENOMEM : 0;
}

static int set_up(struct sing_writer *writer)
{
	struct stat status;
	int error;

	if (fstat(writer->options.fd, &status) != 0)
		return errno;
	writer->appended = S_ISREG(status.st_mode) && (uint64_t)status.st_size <= writer->options.offset;
	error = open_file(writer);
	if (error != 0)
		return error;
	writer->root = writer->inodes = sing_inode_create(S_IFDIR | 0755);
	if (writer->root == NULL)
		return ENOMEM;
	error = create_compressors(writer);
	if (error == 0)
		error = write_start(writer);
	if (error == 0)
		error = create_processor(writer);
	return sing_writer_reason(writer, error);
}

struct sing_writer *sing_writer_open(const struct sing_writer_options *options, struct sing_failure *failure)
{
	struct sing_writer *writer = calloc(1, sizeof *writer);
	int error;

	if (writer == NULL) {
		sing_fail(failure, ENOMEM, "write", "");
		return NULL;
	}
	writer->options = *options;
	error = set_up(writer);
	if (error != 0) {
		sing_fail(failure, error, "write", "");
		sing_writer_close(writer);
		return NULL;
	}
	return writer;
}

struct sing_inode *sing_writer_root(struct sing_writer *writer)
{
	return writer->root;
}

static uint32_t time_of(const struct sing_writer *writer, int64_t time)
{
	if (time < 0)
		return 0;
	if (writer->options.clamp && time > writer->options.time)
		return writer->options.time;
	return time > UINT32_MAX ? UINT32_MAX : (uint32_t)time;
}

static int add_xattrs(struct sing_writer *writer, const struct sing_attributes *attributes, uint32_t *out)
{
	int error;

	*out = SING_NO_XATTRS;
	if (attributes->xattr_count == 0)
		return 0;
	error = sqfs_xattr_writer_begin(writer->xattrs, 0);
	for (size_t i = 0; error == 0 && i < attributes->xattr_count; i++) {
		const struct sing_xattr *xattr = &attributes->xattrs[i];

		/* squashfs has numbers for user., trusted. and security. only */
		if (sqfs_get_xattr_prefix_id(xattr->name) >= 0)
			error = sqfs_xattr_writer_add(writer->xattrs, xattr->name, xattr->value, xattr->size);
	}
	return error != 0 ? error : sqfs_xattr_writer_end(writer->xattrs, out);
}

int sing_writer_describe(struct sing_writer *writer, struct sing_inode *inode, const struct sing_attributes *attributes)
{
	const struct sing_writer_options *options = &writer->options;
	bool own = options->own && !(options->own_unknown && attributes->known);

	inode->mode = (inode->mode & S_IFMT) | (attributes->mode & 07777);
	inode->uid = own ? options->uid : attributes->uid;
	inode->gid = own ? options->gid : attributes->gid;
	inode->mtime = time_of(writer, attributes->mtime);
	if (inode->mtime > writer->newest)
		writer->newest = inode->mtime;
	return sing_writer_reason(writer, add_xattrs(writer, attributes, &inode->xattrs));
}

/* Squashfs keeps device numbers as the kernel's new_encode_dev makes them. */
static uint32_t encode_device(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

static int adopt(struct sing_writer *writer, struct sing_inode *inode, const struct sing_attributes *attributes)
{
	const struct sing_writer_options *options = &writer->options;
	sqfs_u64 size;
	int error = sqfs_inode_get_file_size(attributes->adopted, &size);

	if (error != 0)
		return error;
	writer->result.bytes += size;
	if (options->proceed != NULL && !options->proceed(options->user, writer->result.bytes))
		return SING_CANCELLED;
	return sing_adopt(options->base->layers[attributes->layer].adoption, attributes->adopted, inode);
}

static int begin_content(struct sing_writer *writer, struct sing_inode *inode, const struct sing_attributes *attributes)
{
	switch (inode->mode & S_IFMT) {
	case S_IFREG:
		if (attributes->adopted != NULL)
			return adopt(writer, inode, attributes);
		return sqfs_block_processor_begin_file(writer->processor, &inode->file, NULL, 0);
	case S_IFLNK:
		inode->target = strdup(attributes->target);
		return inode->target == NULL ? ENOMEM : 0;
	case S_IFCHR:
	case S_IFBLK:
		inode->device = encode_device(attributes->major, attributes->minor);
		return 0;
	case S_IFDIR:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	default:
		return EINVAL;
	}
}

int sing_writer_begin(struct sing_writer *writer, const struct sing_attributes *attributes, struct sing_inode **out)
{
	struct sing_inode *inode = sing_inode_create(attributes->mode);
	int error;

	if (inode == NULL)
		return ENOMEM;
	inode->next = writer->inodes;
	writer->inodes = inode;
	*out = inode;
	error = sing_writer_describe(writer, inode, attributes);
	return error != 0 ? error : sing_writer_reason(writer, begin_content(writer, inode, attributes));
}

int sing_writer_link(struct sing_writer *writer, struct sing_inode *directory, const char *name, size_t length,
		     struct sing_inode *inode)
{
	int error = sing_tree_add(directory, name, length, inode);

	if (error == 0)
		writer->result.entries++;
	return error;
}

void sing_writer_remove(struct sing_writer *writer, struct sing_inode *directory, const char *name, size_t length)
{
	writer->result.entries -= sing_tree_remove(directory, name, length);
}

int sing_writer_create(struct sing_writer *writer, struct sing_inode *directory, const char *name, size_t length,
		       const struct sing_attributes *attributes, struct sing_inode **out)
{
	int error = sing_writer_begin(writer, attributes, out);

	return error != 0 ? error : sing_writer_link(writer, directory, name, length, *out);
}

int sing_writer_data(struct sing_writer *writer, const void *data, size_t size)
{
	const struct sing_writer_options *options = &writer->options;
	int error;

	if (options->proceed != NULL && !options->proceed(options->user, writer->result.bytes))
		return SING_CANCELLED;
	error = sqfs_block_processor_append(writer->processor, data, size);
	writer->result.bytes += size;
	return sing_writer_reason(writer, error);
}

int sing_writer_zeros(struct sing_writer *writer, uint64_t size)
{
	static const char zeros[64 * 1024];

	while (size > 0) {
		size_t step = size < sizeof zeros ? (size_t)size : sizeof zeros;
		int error = sing_writer_data(writer, zeros, step);

		if (error != 0)
			return error;
		size -= step;
	}
	return 0;
}

int sing_writer_end(struct sing_writer *writer)
{
	return sing_writer_reason(writer, sqfs_block_processor_end_file(writer->processor));
}

static int write_end(struct sing_writer *writer)
{
	const struct sing_writer_options *options = &writer->options;
	uint64_t used = writer->file->get_size(writer->file);
	int error;

	writer->super.bytes_used = used;
	writer->super.modification_time = options->clamp ? options->time : writer->newest;
	error = sqfs_super_write(&writer->super, writer->file);
	if (error != 0)
		return error;
	writer->result.size = (used + SLOT_ALIGNMENT - 1) / SLOT_ALIGNMENT * SLOT_ALIGNMENT;
	return writer->file->truncate(writer->file, writer->result.size);
}

/* What is around an encrypted image, which takes more bytes than the image. */
static int encase(struct sing_writer *writer)
{
	const struct sing_writer_options *options = &writer->options;
	uint32_t now = options->clamp ? options->time : (uint32_t)time(NULL);

	if (options->encryption == NULL)
		return 0;
	return sing_encrypted_end(writer->file, options->fd, options->offset, options->encryption, now,
				  &writer->result.size);
}

int sing_writer_finish(struct sing_writer *writer, struct sing_result *result)
{
	int error = sqfs_block_processor_finish(writer->processor);

	if (error == 0 && writer->options.base != NULL)
		error = sing_base_copy(writer->options.base, writer->file, writer->fragments);
	if (error == 0)
		error = sing_tables_write(writer);
	if (error == 0)
		error = write_end(writer);
	if (error == 0)
		error = encase(writer);
	if (error != 0)
		return sing_writer_reason(writer, error);
	*result = writer->result;
	/* blocks that turned out to be there already were written first and taken back */
	if (writer->appended && ftruncate(writer->options.fd, (off_t)(writer->options.offset + result->size)) != 0)
		return errno;
	return 0;
}

static void destroy_inodes(struct sing_inode *inode)
{
	while (inode != NULL) {
		struct sing_inode *next = inode->next;

		sing_inode_destroy(inode);
		inode = next;
	}
}

void sing_writer_close(struct sing_writer *writer)
{
	if (writer == NULL)
		return;
	/* the processor first: its workers use the others, and it holds pointers to the files in the tree */
	sing_release(writer->processor);
	sing_release(writer->xattrs);
	sing_release(writer->ids);
	sing_release(writer->fragments);
	sing_release(writer->blocks);
	sing_release(writer->decompressor);
	sing_release(writer->compressor);
	sing_release(writer->file);
	destroy_inodes(writer->inodes);
	free(writer);
}
