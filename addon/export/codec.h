/* Compresses one block of a stream so that the results, one after the other, are a stream of the kind. */
#ifndef SING_CODEC_H
#define SING_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "press.h"

enum { SING_CODEC_WINDOW = 32 * 1024 }; /* what deflate remembers */

struct sing_block {
	unsigned char *input;
	size_t size;
	bool is_last;
	unsigned char window[SING_CODEC_WINDOW]; /* the end of the block before, for gzip */
	size_t window_size;
	unsigned char *output; /* sing_codec_room() bytes */
	size_t output_size;
};

struct sing_codec; /* of one thread */

size_t sing_codec_block(enum sing_press_kind kind);
size_t sing_codec_room(enum sing_press_kind kind);

int sing_codec_open(enum sing_press_kind kind, int level, struct sing_codec **out);
void sing_codec_close(struct sing_codec *codec);

/* Fill in output and output_size. Returns 0 or a reason. */
int sing_codec_compress(struct sing_codec *codec, struct sing_block *block);

/* What precedes the first block and follows the last one, with the CRC-32 and the size of the input; returns the length. */
size_t sing_codec_head(enum sing_press_kind kind, unsigned char head[16]);
size_t sing_codec_tail(enum sing_press_kind kind, uint32_t check, uint64_t size, unsigned char tail[16]);

#endif
