/* Describes two files and their directory with what libsquashfs has for that. */
#include <stdlib.h>
#include <sys/stat.h>

#include <sqfs/compressor.h>
#include <sqfs/dir_writer.h>
#include <sqfs/error.h>
#include <sqfs/id_table.h>
#include <sqfs/inode.h>
#include <sqfs/meta_writer.h>
#include <sqfs/super.h>

#include "casing.h"
#include "release.h"

enum { BLOCK_SIZE = 128 * 1024, PLAIN_BLOCK = 1 << 24 };

/* Numbers of inodes; the parent of the root is one that no inode has. */
enum { CONFIGURATION = 1, ENCRYPTED, ROOT, NOBODY };

_Static_assert(sizeof(sqfs_super_t) == SING_CASING_START, "the superblock comes first");

struct tables {
	sqfs_file_t *file;
	sqfs_super_t super;
	sqfs_compressor_t *compressor;
	sqfs_meta_writer_t *inodes;
	sqfs_meta_writer_t *directories;
	sqfs_dir_writer_t *names;
	sqfs_id_table_t *ids;
};

static int set_up(struct tables *tables, uint32_t time)
{
	sqfs_compressor_config_t config;
	int error = sqfs_super_init(&tables->super, BLOCK_SIZE, time, SQFS_COMP_GZIP);

	if (error == 0)
		error = sqfs_compressor_config_init(&config, SQFS_COMP_GZIP, BLOCK_SIZE, 0);
	if (error == 0)
		error = sqfs_compressor_create(&config, &tables->compressor);
	if (error != 0)
		return error;
	tables->super.flags |= SQFS_FLAG_UNCOMPRESSED_DATA | SQFS_FLAG_UNCOMPRESSED_FRAGMENTS | SQFS_FLAG_NO_FRAGMENTS;
	tables->super.inode_count = ROOT;
	tables->inodes = sqfs_meta_writer_create(tables->file, tables->compressor, 0);
	tables->directories = sqfs_meta_writer_create(tables->file, tables->compressor, SQFS_META_WRITER_KEEP_IN_MEMORY);
	tables->ids = sqfs_id_table_create(0);
	if (tables->directories != NULL)
		tables->names = sqfs_dir_writer_create(tables->directories, 0);
	return tables->inodes == NULL || tables->names == NULL || tables->ids == NULL ? SQFS_ERROR_ALLOC : 0;
}

/* Everything belongs to root. */
static int write_inode(struct tables *tables, sqfs_inode_generic_t *inode, uint32_t number, uint64_t *place)
{
	sqfs_u64 block;
	sqfs_u32 offset;
	int error = sqfs_id_table_id_to_index(tables->ids, 0, &inode->base.uid_idx);

	inode->base.gid_idx = inode->base.uid_idx;
	inode->base.mod_time = tables->super.modification_time;
	inode->base.inode_number = number;
	if (error != 0)
		return error;
	sqfs_meta_writer_get_position(tables->inodes, &block, &offset);
	*place = (block << 16) | offset;
	return sqfs_meta_writer_write_inode(tables->inodes, inode);
}

/* A regular file that lies in one piece, its end in a block of its own. */
static sqfs_inode_generic_t *describe_file(uint64_t start, uint64_t size)
{
	uint64_t count = size / BLOCK_SIZE + (size % BLOCK_SIZE != 0);
	sqfs_inode_generic_t *inode = NULL;

	if (count < UINT32_MAX / sizeof inode->extra[0])
		inode = calloc(1, sizeof *inode + count * sizeof inode->extra[0]);
	if (inode == NULL)
		return NULL;
	inode->base.type = SQFS_INODE_FILE;
	inode->payload_bytes_used = inode->payload_bytes_available = (sqfs_u32)(count * sizeof inode->extra[0]);
	for (uint64_t i = 0; i < count; i++)
		inode->extra[i] = (sqfs_u32)(i + 1 < count ? BLOCK_SIZE : size - i * BLOCK_SIZE) | PLAIN_BLOCK;
	sqfs_inode_set_file_size(inode, size);
	sqfs_inode_set_file_block_start(inode, start);
	sqfs_inode_set_frag_location(inode, 0xffffffff, 0);
	return inode;
}

struct file {
	const char *name;
	uint64_t start;
	uint64_t size;
	uint32_t number;
	uint16_t mode;
};

static int write_file(struct tables *tables, const struct file *file)
{
	sqfs_inode_generic_t *inode = describe_file(file->start, file->size);
	uint64_t place = 0;
	int error;

	if (inode == NULL)
		return SQFS_ERROR_ALLOC;
	inode->base.mode = S_IFREG | file->mode;
	/* that of larger files */
	if (inode->base.type == SQFS_INODE_EXT_FILE)
		inode->data.file_ext.nlink = 1;
	error = write_inode(tables, inode, file->number, &place);
	free(inode);
	if (error != 0)
		return error;
	return sqfs_dir_writer_add_entry(tables->names, file->name, file->number, place, S_IFREG | file->mode);
}

static int write_root(struct tables *tables)
{
	sqfs_inode_generic_t *inode;
	int error = sqfs_dir_writer_end(tables->names);

	if (error != 0)
		return error;
	inode = sqfs_dir_writer_create_inode(tables->names, 0, 0xffffffff, NOBODY);
	if (inode == NULL)
		return SQFS_ERROR_ALLOC;
	inode->base.mode = S_IFDIR | 0777;
	inode->data.dir.nlink = 2;
	error = write_inode(tables, inode, ROOT, &tables->super.root_inode_ref);
	sqfs_free(inode);
	return error;
}

static int write_tables(struct tables *tables, const struct file *files, size_t count)
{
	sqfs_super_t *super = &tables->super;
	int error = sqfs_dir_writer_begin(tables->names, 0);

	super->inode_table_start = tables->file->get_size(tables->file);
	for (size_t i = 0; error == 0 && i < count; i++)
		error = write_file(tables, &files[i]);
	if (error == 0)
		error = write_root(tables);
	if (error == 0)
		error = sqfs_meta_writer_flush(tables->inodes);
	if (error == 0)
		error = sqfs_meta_writer_flush(tables->directories);
	super->directory_table_start = tables->file->get_size(tables->file);
	if (error == 0)
		error = sqfs_meta_write_write_to_file(tables->directories);
	if (error == 0)
		error = sqfs_id_table_write(tables->ids, tables->file, super, tables->compressor);
	super->bytes_used = tables->file->get_size(tables->file);
	return error != 0 ? error : sqfs_super_write(super, tables->file);
}

static void release(struct tables *tables)
{
	sing_release(tables->names);
	sing_release(tables->directories);
	sing_release(tables->inodes);
	sing_release(tables->ids);
	sing_release(tables->compressor);
}

int sing_casing_write(sqfs_file_t *file, const struct sing_casing *casing)
{
	struct tables tables = { .file = file };
	uint64_t behind = SING_CASING_START + casing->size;
	/* in the order of their names, which is that of a directory */
	const struct file files[] = {
		{ "gocryptfs.conf", behind, casing->configuration_size, CONFIGURATION, 0400 },
		{ casing->name, SING_CASING_START, casing->size, ENCRYPTED, 0644 },
	};
	int error = set_up(&tables, casing->time);

	if (error == 0)
		error = file->write_at(file, behind, casing->configuration, casing->configuration_size);
	if (error == 0)
		error = write_tables(&tables, files, 2);
	release(&tables);
	return error;
}
