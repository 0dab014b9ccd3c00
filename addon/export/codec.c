/*
 * gzip: one stream of deflate, of which each block begins with what the block before left in the window and, but for the last,
 * ends at a byte. zstd: one frame for each block. None: the blocks as they are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqfs/error.h>
#include <zlib.h>
#include <zstd.h>

#include "codec.h"

struct sing_codec {
	enum sing_press_kind kind;
	int level;
	z_stream deflate;
	ZSTD_CCtx *zstd;
};

/* Large enough that little is lost at the seams, small enough that all threads have something to do. */
size_t sing_codec_block(enum sing_press_kind kind)
{
	return kind == SING_PRESS_ZSTD ? 2 << 20 : 512 << 10;
}

size_t sing_codec_room(enum sing_press_kind kind)
{
	size_t block = sing_codec_block(kind);

	/* deflate: five bytes for each 16 KiB that cannot be compressed, and the flush */
	return kind == SING_PRESS_ZSTD ? ZSTD_compressBound(block) : block + block / 1024 + 64;
}

int sing_codec_open(enum sing_press_kind kind, int level, struct sing_codec **out)
{
	struct sing_codec *codec = calloc(1, sizeof *codec);
	bool opened = true;

	if (codec == NULL)
		return ENOMEM;
	codec->kind = kind;
	codec->level = level;
	if (kind == SING_PRESS_GZIP)
		opened = deflateInit2(&codec->deflate, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	if (kind == SING_PRESS_ZSTD)
		opened = (codec->zstd = ZSTD_createCCtx()) != NULL;
	if (!opened) {
		free(codec);
		return ENOMEM;
	}
	*out = codec;
	return 0;
}

void sing_codec_close(struct sing_codec *codec)
{
	if (codec == NULL)
		return;
	if (codec->kind == SING_PRESS_GZIP)
		deflateEnd(&codec->deflate);
	ZSTD_freeCCtx(codec->zstd);
	free(codec);
}

static int deflate_block(struct sing_codec *codec, struct sing_block *block)
{
	z_stream *stream = &codec->deflate;
	int wanted = block->is_last ? Z_STREAM_END : Z_OK;

	deflateReset(stream);
	if (block->window_size > 0)
		deflateSetDictionary(stream, block->window, (uInt)block->window_size);
	stream->next_in = block->input;
	stream->avail_in = (uInt)block->size;
	stream->next_out = block->output;
	stream->avail_out = (uInt)sing_codec_room(SING_PRESS_GZIP);
	if (deflate(stream, block->is_last ? Z_FINISH : Z_SYNC_FLUSH) != wanted || stream->avail_in > 0)
		return SQFS_ERROR_INTERNAL;
	block->output_size = sing_codec_room(SING_PRESS_GZIP) - stream->avail_out;
	return 0;
}

static int compress_frame(struct sing_codec *codec, struct sing_block *block)
{
	size_t room = sing_codec_room(SING_PRESS_ZSTD);
	size_t size = ZSTD_compressCCtx(codec->zstd, block->output, room, block->input, block->size, codec->level);

	if (ZSTD_isError(size))
		return SQFS_ERROR_INTERNAL;
	block->output_size = size;
	return 0;
}

int sing_codec_compress(struct sing_codec *codec, struct sing_block *block)
{
	unsigned char *input = block->input;

	switch (codec->kind) {
	case SING_PRESS_GZIP:
		return deflate_block(codec, block);
	case SING_PRESS_ZSTD:
		return compress_frame(codec, block);
	case SING_PRESS_NONE:
		block->input = block->output;
		block->output = input;
		block->output_size = block->size;
		break;
	}
	return 0;
}

/* No name, no time, an unknown system: the same bytes on every machine. */
size_t sing_codec_head(enum sing_press_kind kind, unsigned char head[16])
{
	static const unsigned char gzip[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff };

	if (kind != SING_PRESS_GZIP)
		return 0;
	memcpy(head, gzip, sizeof gzip);
	return sizeof gzip;
}

size_t sing_codec_tail(enum sing_press_kind kind, uint32_t check, uint64_t size, unsigned char tail[16])
{
	if (kind != SING_PRESS_GZIP)
		return 0;
	for (size_t i = 0; i < 4; i++) {
		tail[i] = (unsigned char)(check >> (8 * i));
		tail[4 + i] = (unsigned char)(size >> (8 * i));
	}
	return 8;
}
