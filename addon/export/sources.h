/* What a layer is made of: the files of a squashfs image, or of a directory of the host. */
#ifndef SING_SOURCES_H
#define SING_SOURCES_H

#include "members.h"
#include "squashfs/reader.h"

/* Both return 0, or -1 with the failure of the members. */

/* Everything in the image, in the order of its directories. */
int sing_export_image(struct sing_image *image, struct sing_members *members);

/* Everything below `root`, in the order of byte values. Links are never followed, except `root` itself. */
int sing_export_directory(const char *root, struct sing_members *members);

#endif
