/*
 * Packs and unpacks stacks of squashfs layers from strangers, with the sanitizers of the compiler watching: each line of stdin has the
 * paths of the layers, from the top down; the same line of stdout has what became of them.
 *
 *   fuzz-stack IMAGE UPPER DIRECTORY     a file to be written, the directory above the layers, a place for unpacked files
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqfs/compressor.h>

#include "squashfs/base.h"
#include "squashfs/extract.h"
#include "squashfs/plain.h"
#include "squashfs/walk.h"

enum { LAYERS_MOST = 8 };

struct layers {
	struct sing_layer_file files[LAYERS_MOST];
	size_t count;
};

static struct layers read_line(char *line)
{
	struct layers layers = { .count = 0 };

	for (char *path = strtok(line, " \n"); path != NULL && layers.count < LAYERS_MOST; path = strtok(NULL, " \n")) {
		struct stat status;

		if (stat(path, &status) != 0) {
			perror(path);
			exit(2);
		}
		layers.files[layers.count++] = (struct sing_layer_file){ path, 0, (uint64_t)status.st_size, SING_NO_KEY };
	}
	return layers;
}

static void unpack(const struct sing_base *base, const char *directory, bool notes, struct sing_failure *failure)
{
	const struct sing_extract_options options = { .keeping = { .notes = notes, .stacked = true }, .workers = 2 };
	struct sing_image *images[LAYERS_MOST];
	struct sing_extract_result result;
	int to;

	for (size_t i = 0; i < base->count; i++)
		images[i] = base->layers[i].image;
	if (mkdir(directory, 0700) != 0 || (to = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		perror(directory);
		exit(2);
	}
	sing_extract(images, base->count, "/", to, &options, &result, failure);
	close(to);
}

static int open_up(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)place;
	return type == FTW_D ? chmod(path, 0700) : 0;
}

static int drop(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

static void pack(const struct layers *layers, int fd, const char *upper, bool again, struct sing_failure *failure)
{
	struct sing_writer_options writing = {
		.fd = fd, .compressor = SQFS_COMP_ZSTD, .level = 1, .block_size = 131072, .workers = 1
	};
	struct sing_base base = { 0 };
	struct sing_scan_options options = {
		.root = "tree", .directory = upper, .marks = SING_MARKS_APPLY, .base = &base
	};
	struct sing_writer *writer;
	struct sing_result result;

	writing.base = &base;
	if (sing_base_open(layers->files, layers->count, &writing, again, &base, failure) != 0) {
		sing_base_close(&base);
		return;
	}
	writer = sing_writer_open(&writing, failure);
	if (writer != NULL && sing_walk(writer, &options, failure) == 0) {
		int error = sing_writer_finish(writer, &result);

		if (error != 0)
			sing_fail(failure, error, "write", "");
	}
	sing_writer_close(writer);
	sing_base_close(&base);
}

static void unpack_layers(const struct layers *layers, const char *directory, bool notes, struct sing_failure *failure)
{
	const struct sing_writer_options writing = { .compressor = SQFS_COMP_ZSTD, .block_size = 131072 };
	struct sing_base base = { 0 };

	if (sing_base_open(layers->files, layers->count, &writing, false, &base, failure) == 0) {
		unpack(&base, directory, notes, failure);
		nftw(directory, open_up, 8, FTW_PHYS);
		nftw(directory, drop, 8, FTW_DEPTH | FTW_PHYS);
	}
	sing_base_close(&base);
}

static const char *name_of(const struct sing_failure *failure, const char *success)
{
	return failure->reason == 0 ? success : sing_reason(failure->reason);
}

int main(int argc, char **argv)
{
	int fd = argc < 4 ? -1 : open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	size_t room = 0;
	char *line = NULL;
	bool odd = false;

	if (fd < 0) {
		fprintf(stderr, "fuzz-stack IMAGE UPPER DIRECTORY\n");
		return 2;
	}
	while (getline(&line, &room, stdin) > 0) {
		struct layers layers = read_line(line);
		struct sing_failure packed = { 0 };
		struct sing_failure unpacked = { 0 };

		if (ftruncate(fd, 0) != 0)
			return 2;
		pack(&layers, fd, argv[2], odd, &packed);
		unpack_layers(&layers, argv[3], odd, &unpacked);
		printf("%s, %s\n", name_of(&packed, "packed"), name_of(&unpacked, "unpacked"));
		odd = !odd;
	}
	free(line);
	return 0;
}
