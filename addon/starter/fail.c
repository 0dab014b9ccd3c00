/* Messages: formatted, made printable and written to stderr with one write, so that lines never mix. */
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST = 4096 };

static char kept[LONGEST];
static struct timespec debug_start;
static bool debug_on;
static int failure_fd = -1;

/* A name from the image could hold control characters, which command a terminal (C0, DEL and, in UTF-8, C1). */
static bool is_control(const unsigned char *text)
{
	return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xc2 && text[1] >= 0x80 && text[1] < 0xa0);
}

static void say(const char *prefix, const char *text)
{
	char line[LONGEST * 2];
	size_t length = (size_t)snprintf(line, sizeof line, "%s", prefix);

	for (const unsigned char *at = (const unsigned char *)text; *at && length + 6 < sizeof line; at++) {
		if (is_control(at))
			length += (size_t)snprintf(line + length, sizeof line - length, "\\x%02x", *at);
		else
			line[length++] = (char)*at;
	}
	line[length++] = '\n';
	if (write(STDERR_FILENO, line, length) < 0)
		return; /* nobody is left who could be told */
}

void start_debug(bool on)
{
	debug_on = on;
	if (on)
		clock_gettime(CLOCK_MONOTONIC, &debug_start);
}

bool is_debugging(void)
{
	return debug_on;
}

void tell_failure_to(int fd)
{
	failure_fd = fd;
}

void fail(const char *format, ...)
{
	char text[LONGEST];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	say("FATAL:   ", text);
	if (failure_fd >= 0)
		dprintf(failure_fd, "failed\n");
	_exit(STATUS_FATAL);
}

bool refuse(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(kept, sizeof kept, format, arguments);
	va_end(arguments);
	return false;
}

const char *refusal(void)
{
	return kept;
}

void warn(const char *format, ...)
{
	char text[LONGEST];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	say("WARNING: ", text);
}

void debug(const char *format, ...)
{
	char text[LONGEST], timed[LONGEST];
	struct timespec now;
	va_list arguments;
	long elapsed;

	if (!debug_on)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	elapsed = (now.tv_sec - debug_start.tv_sec) * 1000000 + (now.tv_nsec - debug_start.tv_nsec) / 1000;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	snprintf(timed, sizeof timed, "starter: %ld us: %.4000s", elapsed, text);
	say("DEBUG   ", timed);
}
