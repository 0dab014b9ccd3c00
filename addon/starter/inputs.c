/* Opens the images and the host paths that operations name. Failures are kept: the operation reports them in its turn. */
#include "inputs.h"

#include "fail.h"
#include "lock.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever writes to a file, or puts another one in its place, changes one of these numbers; the last one is the kernel's alone. */
static void require_version(const struct spec *spec, const struct stat *status)
{
	char version[128];

	snprintf(version, sizeof version, "%" PRIuMAX ":%" PRIuMAX ":%" PRIdMAX ":%" PRIdMAX ".%09ld",
		 (uintmax_t)status->st_dev, (uintmax_t)status->st_ino, (intmax_t)status->st_size,
		 (intmax_t)status->st_ctim.tv_sec, status->st_ctim.tv_nsec);
	if (strcmp(version, spec->version) != 0)
		fail("cannot open the image %s: it was changed after its signatures were verified", spec->verified);
}

static int open_image(const struct spec *spec, const struct op *op)
{
	struct stat status;
	/* O_NONBLOCK: a pipe under the image's name must not make the launch wait. */
	int fd = open(op->from, (op->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		fail("cannot open the image %s: %s", op->from, strerror(errno));
	if (fstat(fd, &status) != 0)
		fail("cannot open the image %s: %s", op->from, strerror(errno));
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		fail("cannot open the image %s: it is no file", op->from);
	if (S_ISREG(status.st_mode) && op->offset + op->size > (uint64_t)status.st_size)
		fail("cannot open the image %s: it ends before its file system does", op->from);
	if (spec->verified && strcmp(op->from, spec->verified) == 0)
		require_version(spec, &status);
	return fd;
}

struct input *open_images(const struct spec *spec)
{
	struct input *inputs = allocate(spec->op_count, sizeof *inputs);

	for (unsigned index = 0; index < spec->op_count; index++) {
		const struct op *op = &spec->ops[index];

		inputs[index] = (struct input){ .file = -1, .lock = -1, .loop = -1, .fuse = -1, .line = -1,
					 .far = -1, .go = -1, .report = -1 };
		if (op->kind == OP_SQUASHFS || op->kind == OP_EXT3)
			inputs[index].file = open_image(spec, op);
		if (op->kind == OP_EXT3)
			lock_image(op, inputs[index].file);
		if (op->kind == OP_SQUASHFS && op->held)
			hold_image(inputs[index].file);
		if (op->kind == OP_DIRECTORY && op->writable)
			inputs[index].lock = lock_directory(op);
	}
	return inputs;
}

static const char *source_of(const struct op *op)
{
	switch (op->kind) {
	case OP_DIRECTORY:
	case OP_BIND:
		return op->from;
	case OP_PROC:
		return "/proc";
	case OP_SYSFS:
		return "/sys";
	case OP_SQUASHFS:
	case OP_EXT3:
	case OP_MEMORY:
	case OP_OVERLAY:
	case OP_LAYER_ROOT:
	case OP_UNDERLAY:
	case OP_LAYER_BIND:
	case OP_TMPFS:
	case OP_DEVPTS:
	case OP_MQUEUE:
	case OP_MKDIR:
	case OP_SYMLINK:
	case OP_FILE:
	case OP_RECORDS:
	case OP_ANSWER:
	case OP_FUSE:
	case OP_ALLOW_SETUID:
	case OP_READONLY:
		return NULL;
	}
	return NULL;
}

/* With O_DIRECTORY first: O_PATH alone does not wake an automounter at the last name (open(2), autofs). */
static int open_source(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 && errno == ENOTDIR ? open(path, O_PATH | O_CLOEXEC) : fd;
}

void open_sources(const struct spec *spec, struct input *inputs)
{
	for (unsigned index = 0; index < spec->op_count; index++) {
		const char *source = source_of(&spec->ops[index]);

		if (!source)
			continue;
		inputs[index].file = open_source(source);
		inputs[index].error = inputs[index].file < 0 ? errno : 0;
	}
}
