/* Reads from the pieces that a range touches. */
#include <errno.h>
#include <stdlib.h>

#include <sqfs/error.h>

#include "file.h"
#include "pieces.h"
#include "release.h"

struct pieces {
	struct sing_file file;
	sqfs_file_t *below;
	struct sing_piece pieces[SING_PIECES_MOST];
	size_t count;
	uint64_t size;
};

static int read_at(sqfs_file_t *file, sqfs_u64 position, void *buffer, size_t size)
{
	const struct pieces *pieces = (const struct pieces *)file;
	char *to = buffer;

	if (position > pieces->size || size > pieces->size - position)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	for (size_t i = 0; i < pieces->count && size > 0; i++) {
		const struct sing_piece *piece = &pieces->pieces[i];
		uint64_t rest = position < piece->size ? piece->size - position : 0;
		size_t step = rest < size ? (size_t)rest : size;
		int error = step == 0 ? 0 : pieces->below->read_at(pieces->below, piece->offset + position, to, step);

		if (error != 0)
			return error;
		position = step == 0 ? position - piece->size : 0;
		to += step;
		size -= step;
	}
	return 0;
}

static sqfs_u64 get_size(const sqfs_file_t *file)
{
	return ((const struct pieces *)file)->size;
}

static int last_errno(const sqfs_file_t *file)
{
	return sing_file_errno(((const struct pieces *)file)->below);
}

static void destroy(sqfs_object_t *object)
{
	sing_release(((struct pieces *)object)->below);
	free(object);
}

static sqfs_object_t *copy(const sqfs_object_t *object)
{
	const struct pieces *pieces = (const struct pieces *)object;
	struct pieces *twin = malloc(sizeof *twin);

	if (twin == NULL)
		return NULL;
	*twin = *pieces;
	twin->below = sqfs_copy(pieces->below);
	if (twin->below != NULL)
		return (sqfs_object_t *)twin;
	free(twin);
	return NULL;
}

static int add_piece(struct pieces *pieces, const struct sing_piece *piece)
{
	uint64_t size = pieces->below->get_size(pieces->below);

	if (piece->offset > size || piece->size > size - piece->offset)
		return SQFS_ERROR_OUT_OF_BOUNDS;
	pieces->pieces[pieces->count++] = *piece;
	pieces->size += piece->size;
	return 0;
}

int sing_pieces_open(sqfs_file_t *below, const struct sing_piece *list, size_t count, sqfs_file_t **out)
{
	struct pieces *pieces = calloc(1, sizeof *pieces);
	int error = count > SING_PIECES_MOST ? SQFS_ERROR_OUT_OF_BOUNDS : 0;

	if (pieces == NULL)
		return ENOMEM;
	pieces->below = below;
	for (size_t i = 0; error == 0 && i < count; i++)
		error = add_piece(pieces, &list[i]);
	if (error != 0) {
		free(pieces);
		return error;
	}
	pieces->file = (struct sing_file){
		.base = {
			.base = { .destroy = destroy, .copy = copy },
			.read_at = read_at,
			.write_at = sing_file_no_write,
			.get_size = get_size,
			.truncate = sing_file_no_truncate,
		},
		.last_errno = last_errno,
	};
	*out = &pieces->file.base;
	return 0;
}
