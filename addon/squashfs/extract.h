/* Unpacks an image, or a part of it, into a directory. */
#ifndef SING_EXTRACT_H
#define SING_EXTRACT_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "reader.h"
#include "restore.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sing_extract_options {
	struct sing_keeping keeping; /* owners that the kernel does not let us set stay ours */
	unsigned workers; /* threads that unpack and write files, at least 1 */
	bool (*proceed)(void *user, uint64_t entries); /* told the entries so far; false: stop. May be NULL */
	void *user;
};

struct sing_extract_result {
	uint64_t entries; /* made, without the directory itself */
	uint64_t skipped; /* device nodes that we may not make */
};

/*
 * Make what is in the directory `from` of the image in the open directory `to`, and give `to` the attributes of `from`. With `stacked` the
 * images are layers, the topmost first, and `to` gets what an overlay shows of them; `from` is the root then, unless there is but one.
 * Nothing that exists is replaced or followed; names cannot lead out of `to`. Modes, times, holes, links and what extended
 * attributes the file system takes are kept. What was made before a failure stays, for the caller to remove.
 * Returns 0, or -1 with a failure that names the path inside the image.
 */
int sing_extract(struct sing_image *const *images, size_t count, const char *from, int to,
		 const struct sing_extract_options *options, struct sing_extract_result *result, struct sing_failure *failure);

#ifdef __cplusplus
}
#endif

#endif
