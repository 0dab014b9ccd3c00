/* A directory tree of the host as the source of an image. */
#ifndef SING_WALK_H
#define SING_WALK_H

#include "scan.h"
#include "writer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Read everything that a scan with these options finds into the writer, in the order of byte values. Links are never followed, except
 * the root itself. The base of the options, if there is one, is that of the writer. Returns 0, or -1 with a failure that names the path.
 */
int sing_walk(struct sing_writer *writer, const struct sing_scan_options *options, struct sing_failure *failure);

#ifdef __cplusplus
}
#endif

#endif
