/* Writes the tables of an image from the tree: inodes and directories, then the tables that they point into. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqfs/dir_writer.h>
#include <sqfs/error.h>
#include <sqfs/inode.h>
#include <sqfs/meta_writer.h>

#include "release.h"
#include "writer_internal.h"

struct tables {
	struct sing_writer *writer;
	sqfs_meta_writer_t *inodes;
	sqfs_meta_writer_t *directories;
	sqfs_dir_writer_t *names;
};

/* The children of a directory get consecutive numbers: a directory header holds numbers near to each other only. */
static uint32_t number_below(const struct sing_inode *directory, uint32_t last)
{
	const struct sing_name *names = directory->directory.names;

	for (size_t i = 0; i < directory->directory.count; i++)
		if (names[i].inode->number == 0)
			names[i].inode->number = ++last;
	for (size_t i = 0; i < directory->directory.count; i++)
		if (S_ISDIR(names[i].inode->mode))
			last = number_below(names[i].inode, last);
	return last;
}

static int write_inode(struct tables *tables, struct sing_inode *inode, sqfs_inode_generic_t *entry)
{
	sqfs_id_table_t *ids = tables->writer->ids;
	sqfs_u64 block;
	sqfs_u32 offset;
	int error;

	entry->base.mode = (sqfs_u16)inode->mode;
	entry->base.mod_time = inode->mtime;
	entry->base.inode_number = inode->number;
	error = sqfs_id_table_id_to_index(ids, inode->uid, &entry->base.uid_idx);
	if (error == 0)
		error = sqfs_id_table_id_to_index(ids, inode->gid, &entry->base.gid_idx);
	if (error != 0)
		return error;
	sqfs_meta_writer_get_position(tables->inodes, &block, &offset);
	inode->place = (block << 16) | offset;
	inode->written = true;
	return sqfs_meta_writer_write_inode(tables->inodes, entry);
}

static int add_names(struct tables *tables, const struct sing_inode *directory)
{
	int error = sqfs_dir_writer_begin(tables->names, 0);

	for (size_t i = 0; error == 0 && i < directory->directory.count; i++) {
		const struct sing_inode *inode = directory->directory.names[i].inode;

		error = sqfs_dir_writer_add_entry(tables->names, directory->directory.names[i].text, inode->number,
						  inode->place, (sqfs_u16)inode->mode);
	}
	return error != 0 ? error : sqfs_dir_writer_end(tables->names);
}

static int write_directory(struct tables *tables, struct sing_inode *directory, uint32_t parent)
{
	sqfs_inode_generic_t *entry;
	int error = add_names(tables, directory);

	if (error != 0)
		return error;
	entry = sqfs_dir_writer_create_inode(tables->names, 0, directory->xattrs, parent);
	if (entry == NULL)
		return SQFS_ERROR_ALLOC;
	/* libsquashfs counts every name as a link; only directories point back */
	if (entry->base.type == SQFS_INODE_EXT_DIR)
		entry->data.dir_ext.nlink = directory->links;
	else
		entry->data.dir.nlink = directory->links;
	error = write_inode(tables, directory, entry);
	sqfs_free(entry);
	return error;
}

static int write_file(struct tables *tables, struct sing_inode *inode)
{
	int error;

	if (inode->links > 1 || inode->xattrs != SING_NO_XATTRS) {
		error = sqfs_inode_make_extended(inode->file);
		if (error != 0)
			return error;
		inode->file->data.file_ext.nlink = inode->links;
		inode->file->data.file_ext.xattr_idx = inode->xattrs;
	}
	error = write_inode(tables, inode, inode->file);
	sqfs_free(inode->file);
	inode->file = NULL;
	return error;
}

static int write_symlink(struct tables *tables, struct sing_inode *inode)
{
	size_t length = strlen(inode->target);
	sqfs_inode_generic_t *entry = calloc(1, sizeof *entry + length + 1);
	int error;

	if (entry == NULL)
		return SQFS_ERROR_ALLOC;
	memcpy(entry->extra, inode->target, length);
	entry->payload_bytes_available = entry->payload_bytes_used = (sqfs_u32)length;
	entry->base.type = SQFS_INODE_SLINK;
	entry->data.slink.nlink = inode->links;
	entry->data.slink.target_size = (sqfs_u32)length;
	if (inode->xattrs != SING_NO_XATTRS) {
		entry->base.type = SQFS_INODE_EXT_SLINK;
		entry->data.slink_ext.xattr_idx = inode->xattrs;
	}
	error = write_inode(tables, inode, entry);
	free(entry);
	return error;
}

static int write_special(struct tables *tables, struct sing_inode *inode, SQFS_INODE_TYPE basic,
			 SQFS_INODE_TYPE extended)
{
	bool device = S_ISCHR(inode->mode) || S_ISBLK(inode->mode);
	sqfs_inode_generic_t entry = { 0 };

	/* both kinds begin with the link count */
	entry.data.ipc_ext.nlink = inode->links;
	entry.base.type = (sqfs_u16)basic;
	if (device)
		entry.data.dev.devno = inode->device;
	if (inode->xattrs != SING_NO_XATTRS) {
		entry.base.type = (sqfs_u16)extended;
		if (device)
			entry.data.dev_ext.xattr_idx = inode->xattrs;
		else
			entry.data.ipc_ext.xattr_idx = inode->xattrs;
	}
	return write_inode(tables, inode, &entry);
}

static int write_below(struct tables *tables, struct sing_inode *directory, uint32_t parent);

static int write_any(struct tables *tables, struct sing_inode *inode, uint32_t parent)
{
	switch (inode->mode & S_IFMT) {
	case S_IFDIR:
		return write_below(tables, inode, parent);
	case S_IFREG:
		return write_file(tables, inode);
	case S_IFLNK:
		return write_symlink(tables, inode);
	case S_IFBLK:
		return write_special(tables, inode, SQFS_INODE_BDEV, SQFS_INODE_EXT_BDEV);
	case S_IFCHR:
		return write_special(tables, inode, SQFS_INODE_CDEV, SQFS_INODE_EXT_CDEV);
	case S_IFIFO:
		return write_special(tables, inode, SQFS_INODE_FIFO, SQFS_INODE_EXT_FIFO);
	case S_IFSOCK:
		return write_special(tables, inode, SQFS_INODE_SOCKET, SQFS_INODE_EXT_SOCKET);
	default:
		return SQFS_ERROR_INTERNAL;
	}
}

/* Children first: names hold the places of their inodes. */
static int write_below(struct tables *tables, struct sing_inode *directory, uint32_t parent)
{
	for (size_t i = 0; i < directory->directory.count; i++) {
		struct sing_inode *inode = directory->directory.names[i].inode;
		int error = inode->written ? 0 : write_any(tables, inode, directory->number);

		if (error != 0)
			return error;
	}
	return write_directory(tables, directory, parent);
}

static int write_inodes(struct tables *tables)
{
	struct sing_writer *writer = tables->writer;
	struct sing_inode *root = writer->root;
	sqfs_super_t *super = &writer->super;
	int error;

	root->number = 1;
	super->inode_count = number_below(root, 1);
	super->inode_table_start = writer->file->get_size(writer->file);
	/* the parent of the root is a number that no inode has */
	error = write_below(tables, root, super->inode_count + 1);
	super->root_inode_ref = root->place;
	if (error == 0)
		error = sqfs_meta_writer_flush(tables->inodes);
	if (error == 0)
		error = sqfs_meta_writer_flush(tables->directories);
	super->directory_table_start = writer->file->get_size(writer->file);
	return error != 0 ? error : sqfs_meta_write_write_to_file(tables->directories);
}

static int write_other_tables(struct tables *tables)
{
	struct sing_writer *writer = tables->writer;
	sqfs_super_t *super = &writer->super;
	int error = sqfs_frag_table_write(writer->fragments, writer->file, super, writer->compressor);

	if (error == 0)
		error = sqfs_dir_writer_write_export_table(tables->names, writer->file, writer->compressor,
							   writer->root->number, writer->root->place, super);
	if (error == 0)
		error = sqfs_id_table_write(writer->ids, writer->file, super, writer->compressor);
	if (error == 0)
		error = sqfs_xattr_writer_flush(writer->xattrs, writer->file, super, writer->compressor);
	return error;
}

int sing_tables_write(struct sing_writer *writer)
{
	struct tables tables = { .writer = writer };
	int error = SQFS_ERROR_ALLOC;

	tables.inodes = sqfs_meta_writer_create(writer->file, writer->compressor, 0);
	tables.directories = sqfs_meta_writer_create(writer->file, writer->compressor,
						     SQFS_META_WRITER_KEEP_IN_MEMORY);
	if (tables.inodes != NULL && tables.directories != NULL)
		tables.names = sqfs_dir_writer_create(tables.directories, SQFS_DIR_WRITER_CREATE_EXPORT_TABLE);
	if (tables.names != NULL)
		error = write_inodes(&tables);
	if (error == 0)
		error = write_other_tables(&tables);
	sing_release(tables.names);
	sing_release(tables.directories);
	sing_release(tables.inodes);
	return error;
}
