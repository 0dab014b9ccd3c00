/* Reads the launch spec: the fixed order of records and what belongs together. Operations are read in operation.c. */
#include "spec.h"

#include "fail.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char supported_version[] = "1";

void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);

	if (!memory)
		fail("cannot read the launch spec: out of memory");
	return memory;
}

uint64_t number_field(const struct record *record, unsigned index, int base, uint64_t most)
{
	const char *text = record->fields[index];
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, base);
	/* strtoull takes blanks and signs, which no number of ours has. */
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > most)
		fail("launch spec: %s: \"%.100s\" is no number that fits here", record->name, text);
	return value;
}

bool flag_field(const struct record *record, unsigned index)
{
	return number_field(record, index, 10, 1) == 1;
}

const char *path_field(const struct record *record, unsigned index)
{
	const char *path = record->fields[index];

	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		fail("launch spec: %s: \"%.100s\" is no absolute path", record->name, path);
	return path;
}

unsigned word_field(const struct record *record, unsigned index, const char *const words[])
{
	for (unsigned word = 0; words[word]; word++)
		if (strcmp(words[word], record->fields[index]) == 0)
			return word;
	fail("launch spec: %s: unknown word \"%.100s\"", record->name, record->fields[index]);
}

static void take_version(const struct record *record, struct spec *spec)
{
	(void)spec;
	if (strcmp(record->fields[0], supported_version) != 0)
		fail("launch spec: version \"%.100s\" is not supported, only %s: the parts of sing do not fit together",
		     record->fields[0], supported_version);
}

static void take_debug(const struct record *record, struct spec *spec)
{
	spec->debug = flag_field(record, 0);
	start_debug(spec->debug);
}

static void take_namespaces(const struct record *record, struct spec *spec)
{
	static const char *const words[] = { "user", "mount", "pid", "ipc", "uts", "net", NULL };
	static const int flags[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWNET };

	for (unsigned index = 0; index < record->count; index++) {
		int flag = flags[word_field(record, index, words)];

		if (spec->namespaces & flag)
			fail("launch spec: namespaces: \"%s\" stands there twice", record->fields[index]);
		spec->namespaces |= flag;
	}
}

static void take_join_net(const struct record *record, struct spec *spec)
{
	spec->network = path_field(record, 0);
}

static void take_join(const struct record *record, struct spec *spec)
{
	spec->join = (pid_t)number_field(record, 0, 10, INT_MAX);
	spec->join_started = number_field(record, 1, 10, UINT64_MAX);
	if (spec->join == 0 || spec->join_started == 0)
		fail("launch spec: join: 0 is no process");
}

static void take_share(const struct record *record, struct spec *spec)
{
	spec->meeting_place = path_field(record, 0);
	spec->group = record->fields[1];
	if (spec->group[0] == '\0' || spec->group[0] == '.' || strchr(spec->group, '/'))
		fail("launch spec: share: \"%.100s\" is no name", spec->group);
}

static void take_range(const struct record *record, struct id_map *map)
{
	const uint64_t ids = UINT32_MAX; /* the last one, (uid_t)-1, means "no id" */
	struct id_range range;

	if (map->count == MOST_RANGES)
		fail("launch spec: %s: the kernel takes no more than %d ranges", record->name, MOST_RANGES);
	range.inside = (uint32_t)number_field(record, 0, 10, ids - 1);
	range.outside = (uint32_t)number_field(record, 1, 10, ids - 1);
	range.count = (uint32_t)number_field(record, 2, 10, ids);
	if (range.count == 0 || range.inside + (uint64_t)range.count > ids || range.outside + (uint64_t)range.count > ids)
		fail("launch spec: %s: a range of %u ids from %u does not fit", record->name, range.count, range.inside);
	map->ranges[map->count++] = range;
}

static void take_uid(const struct record *record, struct spec *spec)
{
	take_range(record, &spec->uids);
}

static void take_gid(const struct record *record, struct spec *spec)
{
	take_range(record, &spec->gids);
}

static void take_mapper(const struct record *record, struct spec *spec)
{
	spec->newuidmap = path_field(record, 0);
	spec->newgidmap = path_field(record, 1);
}

static void take_setgroups(const struct record *record, struct spec *spec)
{
	static const char *const words[] = { "allow", "deny", NULL };

	spec->deny_setgroups = word_field(record, 0, words) == 1;
}

static void take_verified(const struct record *record, struct spec *spec)
{
	spec->verified = path_field(record, 0);
	spec->version = record->fields[1];
	if (spec->version[0] == '\0')
		fail("launch spec: verified: the version of a file is empty");
}

static void take_root(const struct record *record, struct spec *spec)
{
	static const char *const words[] = { "host", "new", NULL };

	spec->new_root = word_field(record, 0, words) == 1;
}

static void take_hostname(const struct record *record, struct spec *spec)
{
	spec->hostname = record->fields[0];
}

static void take_umask(const struct record *record, struct spec *spec)
{
	spec->umask = (int)number_field(record, 0, 8, 0777);
}

static void take_die_with_parent(const struct record *record, struct spec *spec)
{
	(void)record;
	spec->die_with_parent = true;
}

int descriptor_field(const struct record *record, unsigned index)
{
	int fd = (int)number_field(record, index, 10, INT_MAX);

	if (fd <= STDERR_FILENO || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		fail("launch spec: %s: %d is no descriptor for it", record->name, fd);
	return fd;
}

static void take_sync(const struct record *record, struct spec *spec)
{
	spec->sync = descriptor_field(record, 0);
	if (record->count > 1)
		spec->life = descriptor_field(record, 1);
}

static void take_private_mounts(const struct record *record, struct spec *spec)
{
	(void)record;
	spec->private_mounts = true;
}

static void take_stay(const struct record *record, struct spec *spec)
{
	(void)record;
	spec->stay = true;
}

static void take_instance(const struct record *record, struct spec *spec)
{
	spec->instance = true;
	spec->job = (pid_t)number_field(record, 0, 10, INT_MAX);
	spec->confirming = (unsigned)number_field(record, 1, 10, INT_MAX);
}

static void take_init(const struct record *record, struct spec *spec)
{
	spec->init = flag_field(record, 0);
}

static void take_open_files(const struct record *record, struct spec *spec)
{
	spec->open_files = (int64_t)number_field(record, 0, 10, INT64_MAX);
}

static void take_no_new_privileges(const struct record *record, struct spec *spec)
{
	spec->no_new_privileges = flag_field(record, 0);
}

static void take_capabilities(const struct record *record, struct spec *spec)
{
	const char *word = record->fields[0];

	spec->all_capabilities = strcmp(word, "all") == 0;
	if (!spec->all_capabilities && strcmp(word, "none") != 0)
		spec->capabilities = number_field(record, 0, 16, UINT64_MAX);
}

static void take_filter(const struct record *record, struct spec *spec)
{
	static const char *const words[] = { "none", "devices", "fakeroot", "record", "record-devices", NULL };

	spec->filter = (enum filter)word_field(record, 0, words);
}

static void take_user(const struct record *record, struct spec *spec)
{
	struct user *user = &spec->user;

	user->given = true;
	user->uid = (uid_t)number_field(record, 0, 10, UINT32_MAX - 1);
	user->gid = (gid_t)number_field(record, 1, 10, UINT32_MAX - 1);
	user->group_count = record->count - 2;
	user->groups = allocate(user->group_count, sizeof *user->groups);
	for (unsigned index = 0; index < user->group_count; index++)
		user->groups[index] = (gid_t)number_field(record, index + 2, 10, UINT32_MAX - 1);
}

static void take_label(const struct record *record, struct spec *spec)
{
	static const char *const words[] = { "selinux", "apparmor", NULL };

	spec->label.apparmor = word_field(record, 0, words) == 1;
	spec->label.text = record->fields[1];
	if (record->fields[1][0] == '\0' || strlen(record->fields[1]) >= LONGEST_LABEL)
		fail("launch spec: label: \"%.100s\" is none", record->fields[1]);
}

static unsigned digit_value(const struct record *record, char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = digit == '\0' ? NULL : strchr(digits, digit);

	if (!found)
		fail("launch spec: %s: it is not written in hexadecimal", record->name);
	return (unsigned)(found - digits);
}

static void take_seccomp(const struct record *record, struct spec *spec)
{
	const char *text = record->fields[1];
	size_t length = strlen(text), size = 2 * sizeof *spec->seccomp.code;
	unsigned char *bytes;

	spec->seccomp.flags = (unsigned)number_field(record, 0, 10, UINT32_MAX);
	if (length == 0 || length % size != 0 || length / size > BPF_MAXINSNS)
		fail("launch spec: seccomp: %zu digits are no filter", length);
	spec->seccomp.length = (unsigned short)(length / size);
	spec->seccomp.code = allocate(spec->seccomp.length, sizeof *spec->seccomp.code);
	bytes = (unsigned char *)spec->seccomp.code;
	for (size_t index = 0; index < length / 2; index++)
		bytes[index] = (unsigned char)(digit_value(record, text[2 * index]) << 4 |
					       digit_value(record, text[2 * index + 1]));
}

static void take_directories(const struct record *record, struct spec *spec)
{
	spec->directory_required = flag_field(record, 0);
	spec->directories = record->fields + 1;
	spec->directory_count = record->count - 1;
	for (unsigned index = 0; index < spec->directory_count; index++)
		if (spec->directories[index][0] == '\0')
			fail("launch spec: directories: a name is empty");
}

static void take_program(const struct record *record, struct spec *spec)
{
	char **program = allocate(record->count + 1, sizeof *program);

	if (record->fields[0][0] == '\0')
		fail("cannot run a program with an empty name");
	memcpy(program, record->fields, record->count * sizeof *program);
	spec->programs[spec->program_count++] = program;
}

enum { ONCE = 1, REPEATED = 2, OPTIONAL = 4, OPERATIONS = 8 };

/* The order of this table is the order of the wire form. */
static const struct row {
	const char *name;
	unsigned least, most;
	int presence;
	void (*take)(const struct record *, struct spec *);
} rows[] = {
	{ "version", 1, 1, ONCE, take_version },
	{ "debug", 1, 1, ONCE, take_debug },
	{ "namespaces", 0, 6, ONCE, take_namespaces },
	{ "join-net", 1, 1, OPTIONAL, take_join_net },
	{ "join", 2, 2, OPTIONAL, take_join },
	{ "share", 2, 2, OPTIONAL, take_share },
	{ "uid", 3, 3, REPEATED | OPTIONAL, take_uid },
	{ "gid", 3, 3, REPEATED | OPTIONAL, take_gid },
	{ "mapper", 2, 2, OPTIONAL, take_mapper },
	{ "setgroups", 1, 1, ONCE, take_setgroups },
	{ "private-mounts", 0, 0, OPTIONAL, take_private_mounts },
	{ "verified", 2, 2, OPTIONAL, take_verified },
	{ "root", 1, 1, ONCE, take_root },
	{ "", 0, 0, OPERATIONS | REPEATED | OPTIONAL, NULL },
	{ "hostname", 1, 1, OPTIONAL, take_hostname },
	{ "umask", 1, 1, OPTIONAL, take_umask },
	{ "init", 1, 1, ONCE, take_init },
	{ "die-with-parent", 0, 0, OPTIONAL, take_die_with_parent },
	{ "stay", 0, 0, OPTIONAL, take_stay },
	{ "sync", 1, 2, OPTIONAL, take_sync },
	{ "instance", 2, 2, OPTIONAL, take_instance },
	{ "open-files", 1, 1, OPTIONAL, take_open_files },
	{ "no-new-privileges", 1, 1, ONCE, take_no_new_privileges },
	{ "capabilities", 1, 1, ONCE, take_capabilities },
	{ "filter", 1, 1, ONCE, take_filter },
	{ "user", 2, 2 + NGROUPS_MAX, OPTIONAL, take_user },
	{ "label", 2, 2, OPTIONAL, take_label },
	{ "seccomp", 2, 2, OPTIONAL, take_seccomp },
	{ "directories", 1, UINT_MAX, ONCE, take_directories },
	{ "program", 1, UINT_MAX, ONCE | REPEATED, take_program },
	{ "end", 0, 0, ONCE, NULL },
};

/* The record at `next`, whole inside of the arguments. */
static struct record look_at(int count, char **arguments, int next)
{
	struct record record = { .name = "", .count = 0, .fields = NULL };
	struct record length;

	if (next + 1 >= count)
		fail("launch spec: it ends before its end");
	record.name = arguments[next];
	length = (struct record){ .name = record.name, .count = 1, .fields = arguments + next + 1 };
	record.count = (unsigned)number_field(&length, 0, 10, (uint64_t)(count - next - 2));
	record.fields = arguments + next + 2;
	return record;
}

/* Take the record when it belongs to the row. */
static bool take(const struct row *row, const struct record *record, struct spec *spec)
{
	if (row->presence & OPERATIONS)
		return read_operation(record, spec);
	if (strcmp(row->name, record->name) != 0)
		return false;
	if (record->count < row->least || record->count > row->most)
		fail("launch spec: %s: %u fields are not the right number", row->name, record->count);
	if (row->take)
		row->take(record, spec);
	return true;
}

bool is_recording(enum filter filter)
{
	return filter == FILTER_RECORD || filter == FILTER_RECORD_DEVICES;
}

static void check_together(const struct spec *spec)
{
	bool user = spec->namespaces & CLONE_NEWUSER;
	bool root = false;

	if (user != (spec->uids.count > 0) || user != (spec->gids.count > 0))
		fail("launch spec: a user namespace and maps of ids go together");
	if (spec->newuidmap && !user)
		fail("launch spec: mapper: there is no user namespace");
	if ((spec->new_root || spec->op_count > 0) && !(spec->namespaces & CLONE_NEWNS))
		fail("launch spec: operations need a mount namespace");
	if (spec->network && spec->namespaces & CLONE_NEWNET)
		fail("launch spec: join-net: there is a new net namespace");
	if (spec->hostname && !(spec->namespaces & CLONE_NEWUTS))
		fail("launch spec: hostname: it needs a uts namespace");
	if (spec->init && !(spec->namespaces & CLONE_NEWPID))
		fail("launch spec: init: it needs a pid namespace");
	if (spec->join && (spec->namespaces || spec->new_root || spec->op_count > 0))
		fail("launch spec: join: the container is there, and nothing is made in it");
	if (is_recording(spec->filter) && (spec->join || !(spec->namespaces & CLONE_NEWNS)))
		fail("launch spec: filter: recording needs a mount namespace of its own");
	if (spec->group && (!spec->new_root || spec->namespaces & (CLONE_NEWPID | CLONE_NEWNET)))
		fail("launch spec: share: it needs a new root, and no pid or net namespace");
	if (spec->instance && !(spec->namespaces & CLONE_NEWPID))
		fail("launch spec: instance: it needs a pid namespace");
	for (unsigned index = 0; index < spec->op_count; index++) {
		if (spec->ops[index].kind == OP_FUSE && spec->ops[index].inside && !(spec->namespaces & CLONE_NEWPID))
			fail("launch spec: fuse: a program of the container needs a pid namespace");
		root |= makes_root(&spec->ops[index]);
		if (spec->ops[index].kind == OP_ANSWER && spec->sync < 0)
			fail("launch spec: answer: nobody is asked");
	}
	if (spec->new_root && !root)
		fail("launch spec: no operation makes the root");
}

void read_spec(int count, char **arguments, struct spec *spec)
{
	int next = 0;

	*spec = (struct spec){ .umask = -1, .open_files = -1, .sync = -1, .life = -1 };
	/* No record is shorter than two arguments. */
	spec->ops = allocate((size_t)count / 2 + 1, sizeof *spec->ops);
	spec->programs = allocate((size_t)count / 2 + 1, sizeof *spec->programs);
	for (const struct row *row = rows; row < rows + sizeof rows / sizeof *rows; row++) {
		unsigned taken = 0;

		for (;;) {
			struct record record = look_at(count, arguments, next);

			if (!take(row, &record, spec)) {
				if (taken == 0 && !(row->presence & OPTIONAL))
					fail("launch spec: \"%.100s\" stands where %s is expected", record.name, row->name);
				break;
			}
			taken++;
			next += 2 + (int)record.count;
			if (!(row->presence & REPEATED))
				break;
		}
	}
	if (next != count)
		fail("launch spec: there are arguments behind its end");
	check_together(spec);
}
