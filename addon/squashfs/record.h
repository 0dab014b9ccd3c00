/*
 * What a file would be for root: its owner, and whether it is a device. Root of a user namespace cannot make devices, with a single id it
 * cannot give files away, and notes it on the file itself, so that the kernel carries it along (docs/fakeroot.md, "The notes"):
 *
 *   files, directories       SING_RECORD = UID:GID
 *   devices: regular files   SING_RECORD = UID:GID:c:MAJOR:MINOR, or b; without UID:GID where the owner is real
 *   links, pipes, sockets    SING_CAPABILITY, with the owner in place of capabilities, which mean nothing there
 */
#ifndef SING_RECORD_H
#define SING_RECORD_H

#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SING_RECORD "user.sing.stat"
#define SING_CAPABILITY "security.capability"

/* The longest text, and its end. */
enum { SING_RECORD_ROOM = 48 };

struct sing_record {
	uint32_t uid;
	uint32_t gid;
	bool ownerless; /* the owner is that of the file */
	uint32_t type;  /* S_IFCHR, S_IFBLK, or 0 for what the file is */
	uint32_t major;
	uint32_t minor;
};

/* The attribute that holds the record of a file of this kind, or NULL. */
const char *sing_record_name(mode_t mode);

/*
 * The record in an attribute of this name of a file of this kind. False for anything else: ids that nobody has, numbers that squashfs
 * cannot hold, and the device 0:0, which is no device but what an overlay marks as gone.
 */
bool sing_record_parse(mode_t mode, const char *name, const void *value, size_t size, struct sing_record *out);

/* The value of the attribute for a file of this kind. Returns its size. */
size_t sing_record_write(mode_t mode, const struct sing_record *record, char value[SING_RECORD_ROOM]);

/* Capabilities of a file in the shape of those that hold for everybody: root of a user namespace sets others. Returns their size. */
size_t sing_plain_capabilities(void *value, size_t size);

#endif
