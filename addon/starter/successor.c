/*
 * A program that replaces a file gives the new one the owner of the old, which it knows from stat(2): root, whatever is noted. useradd and
 * its relatives, which nearly every package with a service runs, do so to /etc/shadow, whose group is not root's. They write
 * FILE+, to be renamed, and FILE-, a copy, and give them away by descriptors (fchown), which no script can; these get the note of FILE.
 */
#include "successor.h"

#include "stage.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Cuts the sign at the end off when the path is that of such a file. */
static bool is_successor(char *path)
{
	static const char *const names[] = { "passwd", "shadow", "group", "gshadow", "subuid", "subgid" };
	size_t length = strlen(path);
	const char *name;

	if (length == 0 || !strchr("+-", path[length - 1]))
		return false;
	path[length - 1] = '\0';
	name = strrchr(path, '/');
	if (!name || name - path < 4 || strncmp(name - 4, "/etc", 4) != 0)
		return false;
	for (size_t index = 0; index < sizeof names / sizeof *names; index++)
		if (strcmp(name + 1, names[index]) == 0)
			return true;
	return false;
}

bool follows_another(const struct asker *asker, int file, struct ownership *ownership)
{
	char path[PATH_MAX];
	struct stat status;
	ssize_t length = readlink(path_of(file).text, path, sizeof path - 1);

	path[length < 0 ? 0 : length] = '\0';
	/* The second time as the asker sees it, who may have another root. */
	if (!is_successor(path) || name_file(asker, file, path) != 0 || !is_successor(path))
		return false;
	AUTO_CLOSE int other = find_file(asker, AT_FDCWD, path, false);
	if (other < 0 || fstat(other, &status) != 0 || !S_ISREG(status.st_mode))
		return false;
	*ownership = read_ownership(other, status.st_mode);
	return ownership->noted && !ownership->device;
}
