/* Execs the payload's program, or says why it cannot be run. */
#include "process.h"

#include "fail.h"
#include "instance.h"
#include "security.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* Where a script says that its interpreter is; empty for anything else. */
static void read_interpreter(const char *path, char *name, size_t size)
{
	char line[PATH_MAX];
	ssize_t length;
	const char *start;

	name[0] = '\0';
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	length = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
	if (length < 2 || line[0] != '#' || line[1] != '!')
		return;
	line[length] = '\0';
	start = line + 2 + strspn(line + 2, " \t");
	snprintf(name, size, "%.*s", (int)strcspn(start, " \t\n"), start);
}

/* The program is there and execve fails all the same. */
static _Noreturn void refuse_program(const char *path, int error)
{
	char interpreter[PATH_MAX];
	struct stat status;

	if (error == ENOENT) {
		read_interpreter(path, interpreter, sizeof interpreter);
		if (interpreter[0])
			fail("cannot run %s: its interpreter %s does not exist in the image", path, interpreter);
		fail("cannot run %s: the loader that it was linked with does not exist in the image", path);
	}
	if (error == EACCES && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		fail("cannot run %s: %s", path, strerror(EISDIR));
	if (error == ENOEXEC)
		fail("cannot run %s: %s (no script with a #! line, and no program for this kind of machine)", path,
		     strerror(error));
	fail("cannot run %s: %s", path, strerror(error));
}

static bool is_absent(const char *path, int error)
{
	return error == ENOTDIR || (error == ENOENT && access(path, F_OK) != 0);
}

/* Comes back only when there is no such program. */
static void run_path(const char *path, char **arguments)
{
	execve(path, arguments, environ);
	if (!is_absent(path, errno))
		refuse_program(path, errno);
}

static const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path ? path : default_path;
}

/* As a shell does it: a file that may not be run does not end the search, but is named when nothing better is found. */
static void run_from_path(char **arguments)
{
	char forbidden[PATH_MAX] = "";

	for (const char *start = search_path(), *next; start; start = next) {
		size_t length = strcspn(start, ":");
		char path[PATH_MAX];

		next = start[length] == ':' ? start + length + 1 : NULL;
		if (snprintf(path, sizeof path, "%.*s/%s", length ? (int)length : 1, length ? start : ".", arguments[0]) >=
		    (int)sizeof path)
			continue;
		execve(path, arguments, environ);
		if (errno == EACCES && !forbidden[0])
			snprintf(forbidden, sizeof forbidden, "%s", path);
		else if (errno != EACCES && !is_absent(path, errno))
			refuse_program(path, errno);
	}
	if (forbidden[0])
		refuse_program(forbidden, EACCES);
}

void become(const struct spec *spec, const struct caller *caller)
{
	char names[2048] = "";
	size_t length = 0;
	bool searched = false;

	restore_signals(caller);
	confine(spec);
	for (unsigned index = 0; index < spec->program_count; index++) {
		char **arguments = spec->programs[index];
		bool search = !strchr(arguments[0], '/');

		report_attempt(spec, index);
		if (search)
			run_from_path(arguments);
		else
			run_path(arguments[0], arguments);
		searched |= search;
		if (length < sizeof names)
			length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", index ? " or " : "",
						   arguments[0]);
	}
	if (searched)
		fail("cannot run %s: executable file not found in the image (searched PATH=%s)", names, search_path());
	fail("cannot run %s: executable file not found in the image", names);
}
