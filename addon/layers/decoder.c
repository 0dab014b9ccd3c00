/*
 * Compressed layers are chains of members (gzip), frames (zstd) or streams (xz), here called parts: one row of functions for
 * each kind. The first bytes tell which it is; every part must be of the same kind.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "decoder.h"
#include "squashfs/failure.h"

/* More than any level of xz needs. */
enum { XZ_MEMORY = 128 * 1024 * 1024 };

enum step { STEP_MORE, STEP_END, STEP_DAMAGED, STEP_MEMORY };

struct codec;

struct sing_decoder {
	sing_decoder_fill *fill;
	void *user;
	const uint8_t *input;
	size_t input_size;
	uint8_t *output;
	size_t output_size;
	const struct codec *codec;
	bool inside; /* of a part */
	union {
		z_stream gzip;
		lzma_stream xz;
		ZSTD_DStream *zstd;
	};
};

struct codec {
	const char *magic;
	size_t magic_size;
	int refused;                                  /* a reason, or 0 */
	enum step (*open)(struct sing_decoder *);     /* once */
	enum step (*begin)(struct sing_decoder *);    /* each part */
	enum step (*step)(struct sing_decoder *);     /* some bytes */
	void (*close)(struct sing_decoder *);
};

static void advance(struct sing_decoder *decoder, size_t input_left, size_t output_left)
{
	decoder->input += decoder->input_size - input_left;
	decoder->input_size = input_left;
	decoder->output += decoder->output_size - output_left;
	decoder->output_size = output_left;
}

static enum step gzip_open(struct sing_decoder *decoder)
{
	return inflateInit2(&decoder->gzip, MAX_WBITS + 16) == Z_OK ? STEP_MORE : STEP_MEMORY;
}

static enum step gzip_begin(struct sing_decoder *decoder)
{
	return inflateReset(&decoder->gzip) == Z_OK ? STEP_MORE : STEP_DAMAGED;
}

static enum step gzip_step(struct sing_decoder *decoder)
{
	z_stream *stream = &decoder->gzip;
	int result;

	stream->next_in = (Bytef *)decoder->input;
	stream->avail_in = (uInt)decoder->input_size;
	stream->next_out = decoder->output;
	stream->avail_out = (uInt)decoder->output_size;
	result = inflate(stream, Z_NO_FLUSH);
	advance(decoder, stream->avail_in, stream->avail_out);
	if (result == Z_MEM_ERROR)
		return STEP_MEMORY;
	if (result == Z_STREAM_END)
		return STEP_END;
	return result == Z_OK || result == Z_BUF_ERROR ? STEP_MORE : STEP_DAMAGED;
}

static void gzip_close(struct sing_decoder *decoder)
{
	inflateEnd(&decoder->gzip);
}

static enum step zstd_open(struct sing_decoder *decoder)
{
	decoder->zstd = ZSTD_createDStream();
	return decoder->zstd != NULL ? STEP_MORE : STEP_MEMORY;
}

static enum step zstd_begin(struct sing_decoder *decoder)
{
	return ZSTD_isError(ZSTD_initDStream(decoder->zstd)) ? STEP_MEMORY : STEP_MORE;
}

static enum step zstd_step(struct sing_decoder *decoder)
{
	ZSTD_inBuffer in = { decoder->input, decoder->input_size, 0 };
	ZSTD_outBuffer out = { decoder->output, decoder->output_size, 0 };
	size_t result = ZSTD_decompressStream(decoder->zstd, &out, &in);

	if (ZSTD_isError(result))
		return STEP_DAMAGED;
	advance(decoder, in.size - in.pos, out.size - out.pos);
	return result == 0 ? STEP_END : STEP_MORE;
}

static void zstd_close(struct sing_decoder *decoder)
{
	ZSTD_freeDStream(decoder->zstd);
}

static enum step xz_open(struct sing_decoder *decoder)
{
	decoder->xz = (lzma_stream)LZMA_STREAM_INIT;
	return STEP_MORE;
}

static enum step xz_begin(struct sing_decoder *decoder)
{
	return lzma_stream_decoder(&decoder->xz, XZ_MEMORY, 0) == LZMA_OK ? STEP_MORE : STEP_MEMORY;
}

static enum step xz_step(struct sing_decoder *decoder)
{
	lzma_stream *stream = &decoder->xz;
	lzma_ret result;

	stream->next_in = decoder->input;
	stream->avail_in = decoder->input_size;
	stream->next_out = decoder->output;
	stream->avail_out = decoder->output_size;
	result = lzma_code(stream, LZMA_RUN);
	advance(decoder, stream->avail_in, stream->avail_out);
	if (result == LZMA_MEM_ERROR || result == LZMA_MEMLIMIT_ERROR)
		return STEP_MEMORY;
	if (result == LZMA_STREAM_END)
		return STEP_END;
	return result == LZMA_OK || result == LZMA_BUF_ERROR ? STEP_MORE : STEP_DAMAGED;
}

static void xz_close(struct sing_decoder *decoder)
{
	lzma_end(&decoder->xz);
}

static enum step plain_open(struct sing_decoder *decoder)
{
	(void)decoder;
	return STEP_MORE;
}

/* Everything up to the end is one part, which may end anywhere. */
static enum step plain_step(struct sing_decoder *decoder)
{
	size_t size = decoder->input_size < decoder->output_size ? decoder->input_size : decoder->output_size;

	memcpy(decoder->output, decoder->input, size);
	advance(decoder, decoder->input_size - size, decoder->output_size - size);
	return decoder->input_size == 0 ? STEP_END : STEP_MORE;
}

static void plain_close(struct sing_decoder *decoder)
{
	(void)decoder;
}

#define ROW(magic, kind) { magic, sizeof magic - 1, 0, kind##_open, kind##_begin, kind##_step, kind##_close }
#define REFUSED(magic) { magic, sizeof magic - 1, SING_COMPRESSION, plain_open, plain_open, plain_step, plain_close }

/* The last row has no magic and takes what is left. */
static const struct codec codecs[] = {
	ROW("\x1f\x8b", gzip),
	ROW("\x28\xb5\x2f\xfd", zstd),
	ROW("\xfd" "7zXZ\0", xz),
	REFUSED("BZh"),
	REFUSED("\x04\x22\x4d\x18"), /* lz4 */
	REFUSED("LZIP"),
	REFUSED("PK\x03\x04"), /* zip */
	{ "", 0, 0, plain_open, plain_open, plain_step, plain_close },
};

struct sing_decoder *sing_decoder_open(sing_decoder_fill *fill, void *user)
{
	struct sing_decoder *decoder = calloc(1, sizeof *decoder);

	if (decoder == NULL)
		return NULL;
	decoder->fill = fill;
	decoder->user = user;
	return decoder;
}

/* True when there is input; false at its end, or with a reason. */
static bool has_input(struct sing_decoder *decoder, int *reason)
{
	ssize_t got;

	if (decoder->input_size > 0)
		return true;
	got = decoder->fill(decoder->user, &decoder->input, reason);
	decoder->input_size = got > 0 ? (size_t)got : 0;
	return got > 0;
}

static enum step find_codec(struct sing_decoder *decoder, int *reason)
{
	const struct codec *codec = codecs;

	while (decoder->input_size < codec->magic_size || memcmp(decoder->input, codec->magic, codec->magic_size) != 0)
		codec++;
	*reason = codec->refused;
	decoder->codec = codec;
	return codec->open(decoder);
}

static enum step one_step(struct sing_decoder *decoder, int *reason)
{
	enum step step = STEP_MORE;

	if (decoder->codec == NULL)
		step = find_codec(decoder, reason);
	if (!decoder->inside && step == STEP_MORE && *reason == 0)
		step = decoder->codec->begin(decoder);
	if (step == STEP_MORE && *reason == 0)
		step = decoder->codec->step(decoder);
	return step;
}

/* Bytes that were left inside a decoder come without input: the output is asked for before the end is believed. */
ssize_t sing_decoder_read(struct sing_decoder *decoder, void *buffer, size_t size, int *reason)
{
	decoder->output = buffer;
	decoder->output_size = size;
	while (decoder->output_size > 0) {
		size_t before = decoder->output_size;
		bool input = has_input(decoder, reason);
		enum step step;

		if (*reason != 0)
			return -1;
		if (!input && !decoder->inside)
			break;
		step = one_step(decoder, reason);
		if (step == STEP_DAMAGED)
			*reason = SING_DATA_DAMAGED;
		else if (step == STEP_MEMORY)
			*reason = ENOMEM;
		else if (step == STEP_MORE && !input && decoder->output_size == before)
			*reason = SING_TRUNCATED;
		if (*reason != 0)
			return -1;
		decoder->inside = step == STEP_MORE;
	}
	return (ssize_t)(size - decoder->output_size);
}

void sing_decoder_close(struct sing_decoder *decoder)
{
	if (decoder == NULL)
		return;
	if (decoder->codec != NULL)
		decoder->codec->close(decoder);
	free(decoder);
}
