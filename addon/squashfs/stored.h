/* Where the bytes of a file lie in its image, when they lie there as they are. */
#ifndef SING_STORED_H
#define SING_STORED_H

#include "pieces.h"
#include "reader.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The pieces of a regular file, counted from the beginning of the image. Returns 0 or a reason as in failure.h:
 * SING_SCATTERED for a file that has to be unpacked.
 */
int sing_stored(const struct sing_image *image, const sqfs_inode_generic_t *inode,
		struct sing_piece pieces[SING_PIECES_MOST], size_t *count);

#ifdef __cplusplus
}
#endif

#endif
