/* The layers that a tree stands on, while it is packed: looked through by the scan, and adopted from by the writer. */
#ifndef SING_BASE_H
#define SING_BASE_H

#include <stddef.h>
#include <stdint.h>

#include <sqfs/frag_table.h>
#include <sqfs/io.h>

#include "reader.h"
#include "writer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_layer {
	int fd;
	struct sing_image *image;
	struct sing_adoption *adoption; /* NULL: its blocks are not like those of the new image */
	struct sing_data *data;         /* then its files are unpacked */
};

struct sing_base {
	struct sing_layer *layers; /* the topmost first */
	size_t count;
};

/* A layer in a file; `key` as in plain.h. */
struct sing_layer_file {
	const char *path;
	uint64_t offset;
	uint64_t size;
	int key;
};

/*
 * Open layers for an image with these options; with `unpack` all their files are unpacked and packed again. Returns 0, or -1 with a failure that names the file; sing_base_close in
 * either case.
 */
int sing_base_open(const struct sing_layer_file *files, size_t count, const struct sing_writer_options *options,
		   bool unpack, struct sing_base *out, struct sing_failure *failure);
void sing_base_close(struct sing_base *base);

/* Copy what adopted files need to the end of the new image. Returns 0 or a reason. */
int sing_base_copy(struct sing_base *base, sqfs_file_t *file, sqfs_frag_table_t *fragments);

#ifdef __cplusplus
}
#endif

#endif
