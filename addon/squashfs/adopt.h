/*
 * Files that another image has already: their blocks are copied as they are, compressed, and not unpacked and packed again.
 * For an image that differs little from the one it was made from.
 */
#ifndef SING_ADOPT_H
#define SING_ADOPT_H

#include <stdint.h>

#include <sqfs/frag_table.h>
#include <sqfs/io.h>

#include "reader.h"
#include "writer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_adoption;

/*
 * Adopt from this image, which must outlive the adoption. SQFS_ERROR_UNSUPPORTED when its blocks are no blocks of an image with these
 * options. Returns 0 or a reason as in failure.h.
 */
int sing_adoption_open(struct sing_image *image, const struct sing_writer_options *options, struct sing_adoption **out);
void sing_adoption_close(struct sing_adoption *adoption);

/* Let `inode`, a regular file, have the contents of this one of the image, which it takes over unless that fails. */
int sing_adopt(struct sing_adoption *adoption, sqfs_inode_generic_t *file, struct sing_inode *inode);

/* Copy what the files need to the end of the new image, once that has no blocks of its own to come. */
int sing_adoption_copy(struct sing_adoption *adoption, sqfs_file_t *file, sqfs_frag_table_t *fragments);

#ifdef __cplusplus
}
#endif

#endif
