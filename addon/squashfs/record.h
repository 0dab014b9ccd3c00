/*
 * What a file would be for a user who has all ids: its owner, and whether it is a device. One who has a single id can make neither, and
 * notes it on the file itself, in the attribute SING_RECORD:
 *
 *   UID:GID                      the owner of a regular file or a directory
 *   UID:GID:c:MAJOR:MINOR        a regular file that stands for a character device
 *   UID:GID:b:MAJOR:MINOR        and for a block device
 *
 *   c:MAJOR:MINOR, b:...         the same where many ids are had, and the file is its owner's
 *
 * Numbers are decimal. Links, pipes and sockets can have no attribute of that kind: theirs is SING_RECORD_OTHER, file capabilities of revision
 * 2 or 3, whose permitted sets are UID and GID, and whose inheritable sets say that they are no capabilities (docs/fakeroot.md). The kernel
 * carries both along when the file is renamed, linked, or copied up by an overlay.
 */
#ifndef SING_RECORD_H
#define SING_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SING_RECORD "user.sing.stat"
#define SING_RECORD_OTHER "security.capability"

/* The longest text, and its end. That of SING_RECORD_OTHER is always as long. */
enum { SING_RECORD_ROOM = 48, SING_RECORD_OTHER_SIZE = 20 };

struct sing_record {
	uint32_t uid;
	uint32_t gid;
	bool ownerless; /* the owner is that of the file */
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

/* The same for the owner of a link, a pipe or a socket. */
bool sing_record_parse_other(const void *value, size_t size, struct sing_record *out);
void sing_record_write_other(const struct sing_record *record, unsigned char value[SING_RECORD_OTHER_SIZE]);

/* Whether an attribute of a file with this mode is a record, and what it says; false when that is nothing. */
bool sing_record_is(mode_t mode, const char *name, const void *value, size_t size);
bool sing_record_read(mode_t mode, const void *value, size_t size, struct sing_record *out);

#endif
