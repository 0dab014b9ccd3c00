/* A stream of entries, each with its path, as the source of an image. */
#ifndef SING_ENTRIES_H
#define SING_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "writer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the stream is. Begin with { .writer = w }. */
struct sing_entries {
	struct sing_writer *writer;
	bool on_top; /* of a tree that is there: entries replace what it has, and links on the way to them are followed */
	struct sing_failure failure;
	bool open;        /* a file waits for data or its end */
	uint64_t missing; /* bytes that the open file still gets */
	char path[4096];  /* of the last entry, for messages */
};

/*
 * Add an entry. Components of a path that are empty or '.' mean nothing; '..' is refused. Parents that were not described
 * (yet) are directories of root with mode 0755. A directory may come again and is described anew; anything else must not,
 * unless the entries are on top of a tree.
 * A regular file is followed by `size` bytes of data. With `link` the entry is one more name of an earlier path.
 * Returns 0, or -1 with entries->failure.
 */
int sing_entries_add(struct sing_entries *entries, const char *path, const struct sing_attributes *attributes,
		     uint64_t size, const char *link);

/* Data of the file that was added last. */
int sing_entries_data(struct sing_entries *entries, const void *data, size_t size);

/* No entry follows: the last file must be complete. */
int sing_entries_end(struct sing_entries *entries);

#ifdef __cplusplus
}
#endif

#endif
