/* The layers of an image, packed from the top down into one squashfs image while they arrive. */
#ifndef SING_LAYERS_H
#define SING_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "source.h"
#include "squashfs/writer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_layers_limits {
	uint64_t entries; /* names, in all layers together */
	uint64_t bytes;   /* of files, holes included, in all layers together */
	uint64_t ratio;   /* see feed.h */
	uint64_t xattrs;  /* bytes of names and values, in all layers together */
};

struct sing_layers_options {
	struct sing_layers_limits limits;
	bool keep_whiteouts; /* there is one layer only, and its removed names stay, as overlayfs has them */
	const char *const *captures; /* paths: small files that are one of them or below are kept in memory */
	size_t capture_count;
};

struct sing_layer_result {
	uint64_t entries;  /* members of the archive */
	uint64_t bytes;    /* of the archive */
	uint64_t left_out; /* extended attributes that squashfs has no place for */
	char packed[SING_DIGEST_TEXT];
	char plain[SING_DIGEST_TEXT];
};

struct sing_layers;

/* The writer stays the caller's, and so do the strings in the options. NULL without memory. */
struct sing_layers *sing_layers_open(struct sing_writer *writer, const struct sing_layers_options *options);

/* Apply the next layer below those before. Returns 0, or -1 with a failure after which nothing more can be done. */
int sing_layers_apply(struct sing_layers *layers, struct sing_source *source, enum sing_digest_kind packed,
		      enum sing_digest_kind plain, struct sing_layer_result *result, struct sing_failure *failure);

/* Packed bytes of the present layer that were taken; any thread may ask. */
uint64_t sing_layers_position(const struct sing_layers *layers);

/* That was the last layer: the tree of the writer is what they make together. Returns 0, or -1 with a failure. */
int sing_layers_end(struct sing_layers *layers, struct sing_failure *failure);

/* A file below the captures. */
struct sing_captured {
	struct sing_inode *inode;
	char *path; /* set by sing_layers_end; NULL when the file did not get a name there */
	char *data;
	size_t size;
	struct sing_captured *next;
};

const struct sing_captured *sing_layers_captured(const struct sing_layers *layers);

void sing_layers_close(struct sing_layers *layers);

#ifdef __cplusplus
}
#endif

#endif
