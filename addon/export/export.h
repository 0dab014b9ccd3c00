/* The files of an image as a layer: a tar, compressed, in pieces as they are asked for, with the digest of the tar at the end. */
#ifndef SING_EXPORT_H
#define SING_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "press.h"
#include "squashfs/failure.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A file of root's that comes on top of the others. */
struct sing_export_extra {
	const char *path; /* relative; its parents are there */
	uint32_t mode;
	int64_t mtime;
	const void *data;
	size_t size;
};

struct sing_export_options {
	const char *path; /* of a directory, or of the file that holds a squashfs at [offset, offset + size) */
	bool is_directory;
	uint64_t offset;
	uint64_t size;
	int key;        /* squashfs/plain.h */
	bool whiteouts; /* the files are a layer of overlayfs: see members.h */
	enum sing_press_kind kind;
	int level;
	unsigned workers; /* threads that compress, at least 1 */
	const struct sing_export_extra *extras; /* as long as the export is open */
	size_t extra_count;
};

struct sing_export_result {
	unsigned char sum[SING_SHA256_SIZE]; /* of the tar */
	uint64_t size;                        /* of the tar */
	uint64_t entries;
	uint64_t skipped;
	const char *first_skipped; /* as long as the export is open */
};

struct sing_exporter;

/* Begin. Returns 0, or -1 with the failure. */
int sing_export_open(const struct sing_export_options *options, struct sing_exporter **out, struct sing_failure *failure);

/* The next bytes, which stay until the next call; none at the end. Returns 0, or -1 with the failure. One thread at a time. */
int sing_export_next(struct sing_exporter *exporter, const void **bytes, size_t *size, struct sing_failure *failure);

/* Bytes of files so far. Any thread. */
uint64_t sing_export_progress(const struct sing_exporter *exporter);

/* Any thread: sing_export_next ends with SING_CANCELLED. */
void sing_export_cancel(struct sing_exporter *exporter);

/* Once, after sing_export_next gave no more bytes. */
void sing_export_describe(struct sing_exporter *exporter, struct sing_export_result *result);

/* Not while sing_export_next runs. NULL is fine. */
void sing_export_close(struct sing_exporter *exporter);

#ifdef __cplusplus
}
#endif

#endif
