/*
 * Files that another image has already: their blocks are copied as they are, compressed, and not unpacked and packed again.
 * For an image that differs little from the one it was made from.
 */
#ifndef SING_ADOPT_H
#define SING_ADOPT_H

#include <stdint.h>

#include <sqfs/frag_table.h>
#include <sqfs/io.h>

#include "writer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_adoption;

/*
 * Open the image at [offset, offset+size) of the descriptor, which stays the caller's. SQFS_ERROR_UNSUPPORTED when its blocks are no blocks
 * of an image with these options, or when its files cannot be found by number. Returns 0 or a reason as in failure.h.
 */
int sing_adoption_open(int fd, uint64_t offset, uint64_t size, const struct sing_writer_options *options,
		       struct sing_adoption **out);
void sing_adoption_close(struct sing_adoption *adoption);

/* Let `inode`, a regular file, have the contents of the file with this number, which has `size` bytes. */
int sing_adopt(struct sing_adoption *adoption, uint64_t number, uint64_t size, struct sing_inode *inode);

/* Copy what the files need to the end of the new image, once that has no blocks of its own to come. */
int sing_adoption_copy(struct sing_adoption *adoption, sqfs_file_t *file, sqfs_frag_table_t *fragments);

#ifdef __cplusplus
}
#endif

#endif
