/* Attaches loop devices: in one step on kernel 5.8 and later, in two before. */
#include "loop.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	SECTOR = 512,
	TRIES = 16, /* others take the free device between asking and attaching */
};

static int configure(int loop, int file, const struct loop_info64 *info)
{
	struct loop_config config = { .fd = (__u32)file, .info = *info };

	if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOTTY && errno != ENOSYS)
		return -1;
	if (ioctl(loop, LOOP_SET_FD, file) != 0)
		return -1;
	if (ioctl(loop, LOOP_SET_STATUS64, info) == 0)
		return 0;
	int error = errno;
	ioctl(loop, LOOP_CLR_FD, 0);
	errno = error;
	return -1;
}

int attach_loop(int file, uint64_t offset, uint64_t size, bool writable)
{
	const struct loop_info64 info = {
		.lo_offset = offset,
		.lo_sizelimit = size,
		.lo_flags = LO_FLAGS_AUTOCLEAR | (writable ? 0 : LO_FLAGS_READ_ONLY),
	};

	if (offset % SECTOR != 0) {
		refuse("it does not begin at a multiple of %d bytes", SECTOR);
		return -1;
	}
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0) {
		refuse("/dev/loop-control: %s", strerror(errno));
		return -1;
	}
	for (int attempt = 0; attempt < TRIES; attempt++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		char path[32];

		if (number < 0)
			break;
		snprintf(path, sizeof path, "/dev/loop%d", number);
		int loop = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (loop < 0)
			break;
		if (configure(loop, file, &info) == 0) {
			close(control);
			return loop;
		}
		close(loop);
		if (errno != EBUSY)
			break;
	}
	refuse("attaching: %s", strerror(errno));
	close(control);
	return -1;
}
