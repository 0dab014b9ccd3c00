/* One way to cut paths for everybody who gets them from outside. */
#include <string.h>

#include "path.h"

size_t sing_path_next(const char **path)
{
	for (;;) {
		size_t length = strcspn(*path, "/");

		if (length > 1 || (length == 1 && **path != '.'))
			return length;
		*path += length;
		if (**path == '\0')
			return 0;
		*path += 1;
	}
}
