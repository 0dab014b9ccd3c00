/*
 * Chooses the decompressor of an image. libsquashfs brings gzip, xz, lz4 and zstd; lzo and the lzma of squashfs-tools
 * are made here.
 */
#include <endian.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lzma.h>
#include <lzo/lzo1x.h>
#include <sqfs/error.h>

#include "decompressor.h"

/* Dictionaries are at most as large as a block (1 MiB); the decoder itself needs well under one more. */
enum { LZMA_MEMORY = 16 * 1024 * 1024 };

/* The header of an lzma "alone" stream: properties, dictionary size, size of the data. */
enum { LZMA_HEADER = 13, LZMA_SIZE_AT = 5 };

struct own {
	sqfs_compressor_t base;
	uint16_t id;
	uint32_t block_size;
	lzma_stream stream;
};

static sqfs_compressor_t *own_create(uint16_t id, uint32_t block_size);

static void get_configuration(const sqfs_compressor_t *compressor, sqfs_compressor_config_t *config)
{
	const struct own *own = (const struct own *)compressor;

	memset(config, 0, sizeof *config);
	config->id = own->id;
	config->flags = SQFS_COMP_FLAG_UNCOMPRESS;
	config->block_size = own->block_size;
}

static int write_options(sqfs_compressor_t *compressor, sqfs_file_t *file)
{
	(void)compressor;
	(void)file;
	return SQFS_ERROR_UNSUPPORTED;
}

/* lzma has no options, and those of lzo only say how hard the writer tried. */
static int read_options(sqfs_compressor_t *compressor, sqfs_file_t *file)
{
	(void)compressor;
	(void)file;
	return 0;
}

static sqfs_s32 unpack_lzo(sqfs_compressor_t *compressor, const sqfs_u8 *in, sqfs_u32 size, sqfs_u8 *out,
			   sqfs_u32 outsize)
{
	lzo_uint length = outsize;

	(void)compressor;
	switch (lzo1x_decompress_safe(in, size, out, &length, NULL)) {
	case LZO_E_OK:
		return length > INT32_MAX ? SQFS_ERROR_COMPRESSOR : (sqfs_s32)length;
	case LZO_E_OUTPUT_OVERRUN:
		return 0;
	default:
		return SQFS_ERROR_COMPRESSOR;
	}
}

static uint64_t lzma_size(const sqfs_u8 *header)
{
	uint64_t size;

	memcpy(&size, header + LZMA_SIZE_AT, sizeof size);
	return le64toh(size);
}

/*
 * squashfs-tools writes the true size into the header but lets the stream end with a marker, which a strict decoder
 * refuses: it is shown the header with the size unknown, and the size is compared afterwards.
 */
static sqfs_s32 unpack_lzma(sqfs_compressor_t *compressor, const sqfs_u8 *in, sqfs_u32 size, sqfs_u8 *out,
			    sqfs_u32 outsize)
{
	lzma_stream *stream = &((struct own *)compressor)->stream;
	sqfs_u8 header[LZMA_HEADER];
	uint64_t length;
	lzma_ret status;

	if (size < LZMA_HEADER)
		return SQFS_ERROR_COMPRESSOR;
	length = lzma_size(in);
	if (length > outsize || length > INT32_MAX)
		return 0;
	memcpy(header, in, LZMA_SIZE_AT);
	memset(header + LZMA_SIZE_AT, 0xff, sizeof header - LZMA_SIZE_AT);

	if (lzma_alone_decoder(stream, LZMA_MEMORY) != LZMA_OK)
		return SQFS_ERROR_ALLOC;
	stream->next_in = header;
	stream->avail_in = sizeof header;
	stream->next_out = out;
	stream->avail_out = (size_t)length;
	status = lzma_code(stream, LZMA_RUN);
	if (status != LZMA_OK || stream->avail_in != 0)
		return SQFS_ERROR_COMPRESSOR;
	stream->next_in = in + LZMA_HEADER;
	stream->avail_in = size - LZMA_HEADER;
	do {
		status = lzma_code(stream, LZMA_RUN);
	} while (status == LZMA_OK && stream->avail_in > 0 && stream->avail_out > 0);
	/* older writers leave the marker out: all data is there and the decoder asks for more */
	if (status != LZMA_STREAM_END && status != LZMA_OK && status != LZMA_BUF_ERROR)
		return SQFS_ERROR_COMPRESSOR;
	return stream->avail_out == 0 ? (sqfs_s32)length : SQFS_ERROR_COMPRESSOR;
}

static void own_destroy(sqfs_object_t *object)
{
	lzma_end(&((struct own *)object)->stream);
	free(object);
}

static sqfs_object_t *own_copy(const sqfs_object_t *object)
{
	const struct own *own = (const struct own *)object;

	return (sqfs_object_t *)own_create(own->id, own->block_size);
}

static sqfs_compressor_t *own_create(uint16_t id, uint32_t block_size)
{
	struct own *own = calloc(1, sizeof *own);

	if (own == NULL)
		return NULL;
	own->base.base.destroy = own_destroy;
	own->base.base.copy = own_copy;
	own->base.get_configuration = get_configuration;
	own->base.write_options = write_options;
	own->base.read_options = read_options;
	own->base.do_block = id == SQFS_COMP_LZO ? unpack_lzo : unpack_lzma;
	own->id = id;
	own->block_size = block_size;
	own->stream = (lzma_stream)LZMA_STREAM_INIT;
	return &own->base;
}

/*
 * Options describe the writer's settings; only those of lz4 name a stream version, of which there is one. Those of xz are
 * not read: the streams carry their own filters, among them some that libsquashfs would not let pass.
 */
static int check_lz4_version(const sqfs_super_t *super, sqfs_file_t *file)
{
	uint8_t options[2 + 8];
	uint32_t version;
	int error;

	if (!(super->flags & SQFS_FLAG_COMPRESSOR_OPTIONS))
		return 0;
	error = file->read_at(file, sizeof(sqfs_super_t), options, sizeof options);
	if (error != 0)
		return error;
	memcpy(&version, options + 2, sizeof version);
	return le32toh(version) == 1 ? 0 : SQFS_ERROR_UNSUPPORTED;
}

static int library_create(const sqfs_super_t *super, sqfs_compressor_t **out)
{
	sqfs_compressor_config_t config;
	int error = sqfs_compressor_config_init(&config, super->compression_id, super->block_size,
						SQFS_COMP_FLAG_UNCOMPRESS);

	return error != 0 ? error : sqfs_compressor_create(&config, out);
}

int sing_decompressor_create(const sqfs_super_t *super, sqfs_file_t *file, sqfs_compressor_t **out)
{
	int error;

	switch (super->compression_id) {
	case SQFS_COMP_LZMA:
	case SQFS_COMP_LZO:
		*out = own_create(super->compression_id, super->block_size);
		return *out == NULL ? SQFS_ERROR_ALLOC : 0;
	case SQFS_COMP_LZ4:
		error = check_lz4_version(super, file);
		return error != 0 ? error : library_create(super, out);
	case SQFS_COMP_GZIP:
	case SQFS_COMP_XZ:
	case SQFS_COMP_ZSTD:
		return library_create(super, out);
	default:
		return SQFS_ERROR_UNSUPPORTED;
	}
}
