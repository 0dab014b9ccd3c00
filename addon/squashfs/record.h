/*
 * What a file would be for a user who has all ids: its owner, and whether it is a device. One who has a single id can make neither, and
 * notes it on the file itself, in the attribute SING_RECORD:
 *
 *   UID:GID                      the owner of a regular file or a directory
 *   UID:GID:c:MAJOR:MINOR        an empty regular file that stands for a character device
 *   UID:GID:b:MAJOR:MINOR        and for a block device
 *
 * Numbers are decimal. The kernel carries the attribute along when the file is renamed, linked, or copied up by an overlay.
 */
#ifndef SING_RECORD_H
#define SING_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SING_RECORD "user.sing.stat"

/* The longest text, and its end. */
enum { SING_RECORD_ROOM = 48 };

struct sing_record {
	uint32_t uid;
	uint32_t gid;
	uint32_t type; /* S_IFCHR, S_IFBLK, or 0 for what the file is */
	uint32_t major;
	uint32_t minor;
};

/*
 * False for anything else: ids that nobody has, numbers that squashfs cannot hold, and the device 0:0, which is no device but what an
 * overlay marks as gone.
 */
bool sing_record_parse(const char *text, size_t size, struct sing_record *out);

/* Writes the text and a NUL. Returns its length. */
int sing_record_write(const struct sing_record *record, char text[SING_RECORD_ROOM]);

#endif
