/* Paths inside an image: components that mean something, one after the other. */
#ifndef SING_PATH_H
#define SING_PATH_H

#include <stddef.h>

/*
 * Move `path` to its next component, over slashes and '.', and return its length: 0 at the end. The caller adds the length to
 * `path` before the next call.
 */
size_t sing_path_next(const char **path);

#endif
