/*
 *   engine                               starter
 *     starts it  ----------------------->  makes the namespaces
 *                <--- one byte ----------
 *     network, cgroup (by the pid)         waits
 *                ---- text, NUL byte --->  puts the root together, becomes the payload
 *
 * Both speak through one socket that the starter inherits.
 */
#include "sync.h"

#include "fail.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A resolv.conf is a few lines. */
enum { LONGEST_ANSWER = 64 * 1024 };

static char answer[LONGEST_ANSWER];

const char *answer_text(void)
{
	return answer;
}

void await_answer(const struct spec *spec)
{
	size_t length = 0;

	if (spec->sync < 0)
		return;
	if (write(spec->sync, "!", 1) != 1)
		fail("cannot tell that the namespaces exist: %s", strerror(errno));
	while (length == 0 || answer[length - 1] != '\0') {
		ssize_t got = read(spec->sync, answer + length, sizeof answer - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			fail("cannot read the answer about the namespaces: %s", strerror(errno));
		if (got == 0 && length == sizeof answer)
			fail("the answer about the namespaces is longer than %d bytes", LONGEST_ANSWER);
		if (got == 0)
			_exit(STATUS_FATAL);
		length += (size_t)got;
	}
	close(spec->sync);
	debug("may go on");
}
