/*
 * Packs layers from strangers, with the sanitizers of the compiler watching: each line of stdin has the paths of an image's layers,
 * from the top down; the same line of stdout has what became of them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqfs/compressor.h>

#include "layers/layers.h"
#include "squashfs/failure.h"

static int apply(struct sing_layers *layers, const char *path, struct sing_failure *failure)
{
	struct sing_layer_result result;
	struct sing_source source;
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error;

	if (fd < 0 || fstat(fd, &status) != 0) {
		perror(path);
		exit(2);
	}
	sing_source_open(&source, fd, 0);
	sing_source_complete(&source, (uint64_t)status.st_size);
	error = sing_layers_apply(layers, &source, SING_DIGEST_SHA256, SING_DIGEST_SHA512, &result, failure);
	sing_source_close(&source);
	close(fd);
	return error;
}

static void pack(int fd, char *line, struct sing_failure *failure)
{
	static const char *const captures[] = { "/a", "etc" };
	struct sing_writer_options writing = {
		.fd = fd, .compressor = SQFS_COMP_ZSTD, .level = 1, .block_size = 4096, .workers = 1
	};
	struct sing_layers_options options = {
		.limits = { .entries = 5000, .bytes = 1 << 22, .ratio = 100, .xattrs = 1 << 20 },
		.captures = captures,
		.capture_count = 2,
	};
	struct sing_writer *writer = sing_writer_open(&writing, failure);
	struct sing_layers *layers;
	struct sing_result result;
	int error = 0;

	if (writer == NULL)
		return;
	options.keep_whiteouts = strchr(line, ' ') == NULL;
	layers = sing_layers_open(writer, &options);
	for (char *path = strtok(line, " \n"); error == 0 && path != NULL; path = strtok(NULL, " \n"))
		error = apply(layers, path, failure);
	if (error == 0)
		error = sing_layers_end(layers, failure);
	if (error == 0) {
		error = sing_writer_finish(writer, &result);
		if (error != 0)
			sing_fail(failure, error, "write", "");
	}
	sing_layers_close(layers);
	sing_writer_close(writer);
}

int main(int argc, char **argv)
{
	int fd = argc < 2 ? -1 : open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	size_t room = 0;
	char *line = NULL;

	if (fd < 0) {
		fprintf(stderr, "fuzz-layers IMAGE\n");
		return 2;
	}
	while (getline(&line, &room, stdin) > 0) {
		struct sing_failure failure = { 0 };

		if (ftruncate(fd, 0) != 0)
			return 2;
		pack(fd, line, &failure);
		printf("%s\n", failure.reason == 0 ? "packed" : sing_reason(failure.reason));
	}
	free(line);
	return 0;
}
