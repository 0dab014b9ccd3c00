/* One decompressor per thread: they keep state between blocks, and making one costs more than a small block. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <sqfs/error.h>
#include <zstd.h>

#include "../squashfs/decompressor.h"
#include "unpack.h"

static _Thread_local sqfs_compressor_t *decompressor;
static _Thread_local ZSTD_DCtx *zstd;
static _Thread_local uint8_t *input;
static _Thread_local uint8_t *scratch;

/* Mapped, so that only what is used takes memory. */
static uint8_t *map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int prepare(struct image *image)
{
	if (input == NULL)
		input = map(image->super.block_size);
	if (input == NULL)
		return -ENOMEM;
	if (image->super.compression_id == SQFS_COMP_ZSTD) {
		if (zstd == NULL)
			zstd = ZSTD_createDCtx();
		return zstd == NULL ? -ENOMEM : 0;
	}
	if (decompressor == NULL && sing_decompressor_create(&image->super, image->file, &decompressor) != 0) {
		decompressor = NULL;
		return -ENOMEM;
	}
	return 0;
}

/*
 * libsquashfs makes a context for every block. Each asks the processor what it can do, which inside a virtual machine costs
 * as much as unpacking 20 KB.
 */
static int unpack_zstd(const uint8_t *bytes, uint32_t size, uint8_t *out, uint32_t room)
{
	size_t got = ZSTD_decompressDCtx(zstd, out, room, bytes, size);

	return ZSTD_isError(got) || got == 0 ? -EIO : (int)got;
}

int unpack_bytes(struct image *image, const uint8_t *bytes, uint32_t size, uint8_t *out, uint32_t room)
{
	int error = prepare(image);
	int32_t got;

	if (error != 0)
		return error;
	if (zstd != NULL)
		return unpack_zstd(bytes, size, out, room);
	got = decompressor->do_block(decompressor, bytes, size, out, room);
	if (got == SQFS_ERROR_ALLOC)
		return -ENOMEM;
	return got <= 0 || (uint32_t)got > room ? -EIO : got;
}

int unpack_from_image(struct image *image, uint64_t at, uint32_t size, uint8_t *out, uint32_t room)
{
	int error = prepare(image);

	if (error != 0)
		return error;
	if (size > image->super.block_size || image->file->read_at(image->file, at, input, size) != 0)
		return -EIO;
	return unpack_bytes(image, input, size, out, room);
}

uint8_t *unpack_scratch(void)
{
	if (scratch == NULL)
		scratch = map(ANSWER_SIZE);
	return scratch;
}
