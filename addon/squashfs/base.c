/* Opens layers and closes them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqfs/error.h>

#include "adopt.h"
#include "base.h"

static int open_layer(const struct sing_layer_file *file, const struct sing_writer_options *options,
		      bool unpack, struct sing_layer *layer)
{
	int error;

	layer->fd = open(file->path, O_RDONLY | O_CLOEXEC);
	if (layer->fd < 0)
		return errno;
	error = sing_image_open(layer->fd, file->offset, file->size, file->key, &layer->image);
	if (error != 0)
		return error;
	error = unpack ? SQFS_ERROR_UNSUPPORTED : sing_adoption_open(layer->image, options, &layer->adoption);
	return error == SQFS_ERROR_UNSUPPORTED ? sing_data_open(layer->image, &layer->data) : error;
}

int sing_base_open(const struct sing_layer_file *files, size_t count, const struct sing_writer_options *options,
		   bool unpack, struct sing_base *out, struct sing_failure *failure)
{
	*out = (struct sing_base){ .layers = calloc(count + 1, sizeof *out->layers) };
	if (out->layers == NULL)
		return sing_fail(failure, ENOMEM, "open", "");
	for (; out->count < count; out->count++) {
		const struct sing_layer_file *file = &files[out->count];
		int error = open_layer(file, options, unpack, &out->layers[out->count]);

		if (error == 0)
			continue;
		out->count++; /* what of it is open is closed with the others */
		return sing_fail(failure, error, "open", file->path);
	}
	return 0;
}

void sing_base_close(struct sing_base *base)
{
	for (size_t i = 0; i < base->count; i++) {
		struct sing_layer *layer = &base->layers[i];

		sing_data_close(layer->data);
		sing_adoption_close(layer->adoption);
		sing_image_close(layer->image);
		if (layer->fd >= 0)
			close(layer->fd);
	}
	free(base->layers);
	*base = (struct sing_base){ 0 };
}

int sing_base_copy(struct sing_base *base, sqfs_file_t *file, sqfs_frag_table_t *fragments)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < base->count; i++)
		if (base->layers[i].adoption != NULL)
			error = sing_adoption_copy(base->layers[i].adoption, file, fragments);
	return error;
}
