/* Names and words of failures. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sqfs/error.h>

#include "failure.h"

static const struct {
	int reason;
	const char *name;
	const char *words;
} reasons[] = {
	{ SING_CHANGED, "CHANGED", "it became shorter while it was read" },
	{ SING_CANCELLED, "ABORT_ERR", "cancelled" },
	{ SING_NAME, "NAME", "not a name that a directory may hold" },
	{ SING_NOT_FOUND, "ENOENT", "no such file or directory" },
	{ SING_NESTED, "SQUASHFS_NESTED", "directories are nested too deeply or inside themselves" },
	{ SING_TOO_LARGE, "SQUASHFS_LARGE", "larger than expected" },
	{ SING_TRUNCATED, "LAYER_TRUNCATED", "it ends too early" },
	{ SING_NOT_TAR, "LAYER_FORMAT", "not a tar archive" },
	{ SING_TAR_DAMAGED, "LAYER_DAMAGED", "damaged tar archive" },
	{ SING_DATA_DAMAGED, "LAYER_DAMAGED", "damaged compressed data" },
	{ SING_COMPRESSION, "LAYER_COMPRESSION", "compressed with something else than gzip, zstd or xz" },
	{ SING_LINK, "LAYER_LINK", "there is no file that it could be a hard link to" },
	{ SING_RANGE, "LAYER_RANGE", "its owner or device number is larger than squashfs can hold" },
	{ SING_STOPPED, "LAYER_STOPPED", "the rest does not come" },
	{ SING_MANY_ENTRIES, "LIMIT_ENTRIES", "more names than the limit allows" },
	{ SING_MANY_BYTES, "LIMIT_BYTES", "more bytes than the limit allows" },
	{ SING_RATIO, "LIMIT_RATIO", "it grows more by unpacking than the limit allows" },
	{ SING_MANY_XATTRS, "LIMIT_XATTRS", "more extended attributes than the limit allows" },
	{ SING_REFERS, "OVERLAY_REFERS", "the overlay keeps only what has changed of it (redirect_dir or metacopy)" },
	{ SING_FORGED, "ENCRYPTED_DAMAGED", "encrypted data that is damaged, or changed by somebody without the key" },
	{ SING_KEY, "ENCRYPTED_KEY", "there is no key in what was given as one" },
	{ SING_SCATTERED, "ENCRYPTED_PACKED", "the encrypted file in it is compressed or has holes" },
	{ SQFS_ERROR_ALLOC, "ENOMEM", "not enough memory" },
	{ SQFS_ERROR_COMPRESSOR, "SQUASHFS_DAMAGED", "damaged data" },
	{ SQFS_ERROR_INTERNAL, "SQUASHFS_INTERNAL", "internal error of libsquashfs" },
	{ SQFS_ERROR_CORRUPTED, "SQUASHFS_DAMAGED", "damaged data" },
	{ SQFS_ERROR_UNSUPPORTED, "SQUASHFS_UNSUPPORTED", "unknown compression or feature" },
	{ SQFS_ERROR_OVERFLOW, "SQUASHFS_DAMAGED", "a number is larger than squashfs allows" },
	{ SQFS_ERROR_OUT_OF_BOUNDS, "SQUASHFS_DAMAGED", "data lies outside the image" },
	{ SFQS_ERROR_SUPER_MAGIC, "SQUASHFS_FORMAT", "not a squashfs image" },
	{ SFQS_ERROR_SUPER_VERSION, "SQUASHFS_FORMAT", "not squashfs version 4.0" },
	{ SQFS_ERROR_SUPER_BLOCK_SIZE, "SQUASHFS_FORMAT", "the block size is not one of squashfs" },
	{ SQFS_ERROR_NOT_DIR, "ENOTDIR", "not a directory" },
	{ SQFS_ERROR_NO_ENTRY, "ENOENT", "no such file or directory" },
	{ SQFS_ERROR_LINK_LOOP, "ELOOP", "too many symbolic links" },
	{ SQFS_ERROR_NOT_FILE, "SQUASHFS_TYPE", "not a regular file" },
	{ SQFS_ERROR_ARG_INVALID, "EINVAL", "invalid argument" },
	{ SQFS_ERROR_SEQUENCE, "SQUASHFS_INTERNAL", "calls in the wrong order" },
	{ SQFS_ERROR_IO, "EIO", "input/output error" },
};

int sing_fail(struct sing_failure *failure, int reason, const char *action, const char *path)
{
	if (failure->reason != 0)
		return -1;
	failure->reason = reason;
	failure->action = action;
	snprintf(failure->path, sizeof failure->path, "%s", path);
	return -1;
}

const char *sing_reason(int reason)
{
	if (reason > 0)
		return strerror(reason);
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].reason == reason)
			return reasons[i].words;
	return "unknown error";
}

const char *sing_reason_name(int reason)
{
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].reason == reason)
			return reasons[i].name;
	return NULL;
}
