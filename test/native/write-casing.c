/* Writes what is around an encrypted file of any size, which is a hole: `write-casing PATH SIZE`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "squashfs/casing.h"
#include "squashfs/failure.h"
#include "squashfs/window.h"

int main(int argc, char **argv)
{
	static const char text[] = "the configuration";
	struct sing_casing casing = { .name = "squashfs-1", .configuration = text, .time = 1000000000 };
	int fd = argc == 3 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	sqfs_file_t *file;
	int error;

	if (fd < 0)
		return 2;
	casing.size = strtoull(argv[2], NULL, 10);
	casing.configuration_size = strlen(text);
	file = sing_window_resume(fd, 0, SING_CASING_START + casing.size);
	error = file == NULL ? ENOMEM : sing_casing_write(file, &casing);
	if (error != 0)
		puts(sing_reason(error));
	if (file != NULL)
		sqfs_destroy(file);
	close(fd);
	return error == 0 ? 0 : 1;
}
