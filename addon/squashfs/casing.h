/*
 * The squashfs around an encrypted file, which Apptainer mounts for gocryptfs: the configuration of gocryptfs and the file,
 * both as they are, not compressed. What is encrypted can be written in its place before anything else is known.
 *
 *   superblock | the encrypted file | gocryptfs.conf | inodes | directory | ids
 */
#ifndef SING_CASING_H
#define SING_CASING_H

#include <stddef.h>
#include <stdint.h>

#include <sqfs/io.h>
#include <sqfs/super.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the encrypted file begins. */
enum { SING_CASING_START = 96 };

struct sing_casing {
	const char *name;          /* of the encrypted file */
	uint64_t size;             /* its bytes, which are there */
	const void *configuration; /* of gocryptfs */
	size_t configuration_size;
	uint32_t time;
};

/* Write everything but the encrypted file, behind which `file` must end. Returns 0 or an SQFS_ERROR. */
int sing_casing_write(sqfs_file_t *file, const struct sing_casing *casing);

#ifdef __cplusplus
}
#endif

#endif
