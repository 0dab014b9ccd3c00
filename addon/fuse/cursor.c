/* The cursor: metadata as one run of bytes, though it lies in packed blocks of 8 KiB. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "image.h"

/* Moves to a block. Blocks only follow each other upwards and end at the limit, so every walk ends. */
static int enter_block(struct cursor *cursor, uint64_t at)
{
	struct extent extent = { .at = at };
	int error = 0;

	cursor_close(cursor);
	if (at >= cursor->limit)
		return image_damaged(cursor->image, "metadata at %" PRIu64 " lies behind its table", at);
	cursor->block = cache_get(cursor->image->metadata, extent, &error);
	return error;
}

int cursor_seek(struct cursor *cursor, struct image *image, struct position at, uint64_t limit)
{
	int error;

	cursor->image = image;
	cursor->limit = limit;
	if (cursor->block == NULL || cursor->block->extent.at != at.block) {
		error = enter_block(cursor, at.block);
		if (error != 0)
			return error;
	}
	if (at.offset > cursor->block->size)
		return image_damaged(image, "metadata at %" PRIu64 " has no byte %" PRIu32, at.block, at.offset);
	cursor->offset = at.offset;
	return 0;
}

int cursor_peek(struct cursor *cursor, const uint8_t **bytes, size_t *size)
{
	if (cursor->block == NULL)
		return -EIO;
	if (cursor->offset == cursor->block->size) {
		int error = enter_block(cursor, cursor->block->next);

		if (error != 0)
			return error;
		cursor->offset = 0;
	}
	*bytes = cursor->block->data + cursor->offset;
	*size = cursor->block->size - cursor->offset;
	return 0;
}

int cursor_read(struct cursor *cursor, void *to, size_t size)
{
	uint8_t *out = to;

	while (size > 0) {
		const uint8_t *bytes;
		size_t part;
		int error = cursor_peek(cursor, &bytes, &part);

		if (error != 0)
			return error;
		if (part > size)
			part = size;
		memcpy(out, bytes, part);
		cursor->offset += (uint32_t)part;
		out += part;
		size -= part;
	}
	return 0;
}

int cursor_skip(struct cursor *cursor, uint64_t size)
{
	while (size > 0) {
		const uint8_t *bytes;
		size_t part;
		int error = cursor_peek(cursor, &bytes, &part);

		if (error != 0)
			return error;
		if (part > size)
			part = (size_t)size;
		cursor->offset += (uint32_t)part;
		size -= part;
	}
	return 0;
}

struct position cursor_position(const struct cursor *cursor)
{
	return (struct position){ cursor->block->extent.at, cursor->offset };
}

void cursor_close(struct cursor *cursor)
{
	if (cursor->block != NULL)
		cache_put(cursor->image->metadata, cursor->block);
	cursor->block = NULL;
}
