/* Undoes the compression of a layer, whichever it is: gzip, zstd, xz, or none. */
#ifndef SING_DECODER_H
#define SING_DECODER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Gives the next compressed bytes, which stay where they are until the next call: their number, 0 at the end, -1 with a reason. */
typedef ssize_t sing_decoder_fill(void *user, const uint8_t **data, int *reason);

struct sing_decoder;

/* NULL without memory. */
struct sing_decoder *sing_decoder_open(sing_decoder_fill *fill, void *user);

/* Fill the buffer, up to the end of the data. Returns the number of bytes, 0 at the end, or -1 with a reason. */
ssize_t sing_decoder_read(struct sing_decoder *decoder, void *buffer, size_t size, int *reason);

void sing_decoder_close(struct sing_decoder *decoder);

#endif
