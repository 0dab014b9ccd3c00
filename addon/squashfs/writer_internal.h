/* What the two halves of the writer share: writer.c takes entries and data, tables.c writes what describes them. */
#ifndef SING_WRITER_INTERNAL_H
#define SING_WRITER_INTERNAL_H

#include <sqfs/block_processor.h>
#include <sqfs/block_writer.h>
#include <sqfs/compressor.h>
#include <sqfs/frag_table.h>
#include <sqfs/id_table.h>
#include <sqfs/io.h>
#include <sqfs/super.h>
#include <sqfs/xattr_writer.h>

#include "writer.h"

struct sing_writer {
	struct sing_writer_options options;
	struct sing_result result;
	struct sing_inode *root;
	struct sing_inode *inodes; /* all of them, also those without a name */
	uint32_t newest; /* time of the newest inode */
	bool appended;   /* the file ended where the slot began or before */

	sqfs_file_t *file;
	sqfs_super_t super;
	sqfs_compressor_t *compressor;
	sqfs_compressor_t *decompressor;
	sqfs_block_writer_t *blocks;
	sqfs_frag_table_t *fragments;
	sqfs_block_processor_t *processor;
	sqfs_id_table_t *ids;
	sqfs_xattr_writer_t *xattrs;
};

/* The errno behind an SQFS_ERROR_IO, other errors as they are. */
int sing_writer_reason(const struct sing_writer *writer, int error);

/* Write inode, directory, fragment, export, id and xattr tables. Returns 0 or an SQFS_ERROR. */
int sing_tables_write(struct sing_writer *writer);

#endif
