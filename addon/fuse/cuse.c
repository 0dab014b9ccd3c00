/*
 * libfuse's low level names one function of its character devices, which brings its high level along and, with that,
 * dlopen: a warning and a danger in a static program. We make no devices, so that function may be ours.
 */
#include <errno.h>

#include "ops.h"

void cuse_lowlevel_init(fuse_req_t request, fuse_ino_t node, const void *argument);

void cuse_lowlevel_init(fuse_req_t request, fuse_ino_t node, const void *argument)
{
	(void)node;
	(void)argument;
	fuse_reply_err(request, ENOSYS);
}
