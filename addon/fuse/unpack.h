/* What a thread needs to unpack blocks, made when it is first needed and kept until the process ends. */
#ifndef SING_UNPACK_H
#define SING_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "image.h"

/* The largest answer to one read request. */
enum { ANSWER_SIZE = 1024 * 1024 };

/*
 * Unpacks `size` bytes at `at` of the image into `out`. Returns the number of bytes unpacked (more than 0, at most
 * `room`) or a negative errno.
 */
int unpack_from_image(struct image *image, uint64_t at, uint32_t size, uint8_t *out, uint32_t room);

/* The same for bytes in memory. */
int unpack_bytes(struct image *image, const uint8_t *bytes, uint32_t size, uint8_t *out, uint32_t room);

/* ANSWER_SIZE bytes that are this thread's own, for putting an answer together. NULL without memory. */
uint8_t *unpack_scratch(void);

#endif
