/* What the parts of the reader share. */
#ifndef SING_READER_INTERNAL_H
#define SING_READER_INTERNAL_H

#include <sqfs/compressor.h>
#include <sqfs/frag_table.h>
#include <sqfs/id_table.h>
#include <sqfs/io.h>
#include <sqfs/meta_reader.h>
#include <sqfs/xattr.h>

#include "reader.h"

enum { TARGET_LIMIT = 4096 }; /* bytes of a symbolic link, as for the kernel */

struct sing_image {
	sqfs_super_t super;
	sqfs_file_t *file;
	sqfs_compressor_t *compressor;
	sqfs_id_table_t *ids;
	sqfs_frag_table_t *fragments;
	sqfs_meta_reader_t *inodes;
	sqfs_meta_reader_t *directories;

	/* extended attributes; without any, `attributes` is NULL */
	sqfs_meta_reader_t *attributes;
	uint64_t attributes_start;
	sqfs_xattr_id_t *attribute_sets; /* fields in the order of the host */
	uint32_t attribute_set_count;
};

/* The errno behind a failed read, other errors as they are. */
int sing_image_reason(const struct sing_image *image, int error);

/* Load the table of attribute sets, if there is one. Returns 0 or an SQFS_ERROR. */
int sing_xattrs_load(struct sing_image *image);

#endif
