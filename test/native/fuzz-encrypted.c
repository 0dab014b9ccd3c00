/*
 * Reads encrypted images from strangers, with the sanitizers of the compiler watching: each line of stdin has the path of an image
 * and that of a key (squashfs/plain.h); the same line of stdout has what became of them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "squashfs/failure.h"
#include "squashfs/plain.h"
#include "squashfs/stored.h"
#include "squashfs/survey.h"

struct walk {
	struct sing_image *image;
	struct sing_data *data;
};

static int drop(void *user, uint64_t offset, const void *bytes, size_t size)
{
	static volatile unsigned char sum;

	(void)user;
	(void)offset;
	for (size_t i = 0; bytes != NULL && i < size; i++)
		sum ^= ((const unsigned char *)bytes)[i];
	return 0;
}

static int visit(void *user, const struct sing_surveyed *entry)
{
	struct walk *walk = user;
	struct sing_piece pieces[SING_PIECES_MOST];
	sqfs_inode_generic_t *inode = NULL;
	size_t count;
	int error;

	if (!S_ISREG(entry->stat.mode))
		return 0;
	error = sing_image_inode(walk->image, entry->place, &inode);
	if (error == 0 && sing_stored(walk->image, inode, pieces, &count) == 0 && count > SING_PIECES_MOST)
		abort();
	if (error == 0)
		error = sing_data_read(walk->data, inode, drop, NULL);
	sqfs_free(inode);
	return error;
}

static int read_all(int fd, uint64_t size, int key)
{
	struct walk walk = { 0 };
	char path[8192];
	int error = sing_image_open(fd, 0, size, key, &walk.image);

	if (error != 0)
		return error;
	error = sing_data_open(walk.image, &walk.data);
	if (error == 0)
		error = sing_image_survey(walk.image, visit, &walk, path, sizeof path);
	sing_data_close(walk.data);
	sing_image_close(walk.image);
	return error;
}

int main(void)
{
	char line[8192];

	while (fgets(line, sizeof line, stdin) != NULL) {
		const char *image = strtok(line, " \n"), *key = strtok(NULL, " \n");
		int fd = open(image, O_RDONLY | O_CLOEXEC), secret = open(key, O_RDONLY | O_CLOEXEC);
		struct stat status;
		int outer, inner;

		if (fd < 0 || secret < 0 || fstat(fd, &status) != 0)
			return 2;
		outer = read_all(fd, (uint64_t)status.st_size, SING_NO_KEY);
		inner = read_all(fd, (uint64_t)status.st_size, secret);
		printf("%s, %s\n", outer == 0 ? "read" : sing_reason(outer), inner == 0 ? "opened" : sing_reason(inner));
		fflush(stdout);
		close(secret);
		close(fd);
	}
	return 0;
}
