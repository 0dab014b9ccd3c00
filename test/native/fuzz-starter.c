/*
 * Runs the starter's main() on many launch specs, each in a process of its own. Linked with the rest of addon/starter.
 * A spec comes on stdin as a number of words and the words; for each, its exit status
 * and what it wrote to stderr go to stdout. Every text ends with a zero byte.
 *
 * It works in namespaces of its own in which everything but /proc is read-only, so that no spec, whatever it says, can do
 * harm; and it is there until the last process that a spec has left behind has ended.
 */
#define main starter_main
#include "main.c"
#undef main

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_WORDS = 100000, LONGEST_RUN_MS = 30000, MOUNT_SETATTR = 442, READ_ONLY = 1, WHOLE_TREE = 0x8000 };

struct attributes {
	unsigned long long set, clear, propagation, user_namespace;
};

static bool has_instances;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "fuzz-starter: %s: %s\n", what, strerror(errno));
	exit(70);
}

static void write_file(const char *path, const char *format, unsigned id)
{
	char text[64];
	int length = snprintf(text, sizeof text, format, id, id);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, (size_t)length) != length)
		die(path);
	close(fd);
}

static void change_mount(const char *path, int flags, struct attributes attributes)
{
	if (syscall(MOUNT_SETATTR, AT_FDCWD, path, flags, &attributes, sizeof attributes) != 0)
		die(path);
}

static void close_the_world(void)
{
	unsigned uid = getuid(), gid = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
		die("unshare");
	write_file("/proc/self/setgroups", "deny", 0);
	write_file("/proc/self/uid_map", "%u %u 1", uid);
	write_file("/proc/self/gid_map", "%u %u 1", gid);
	if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0)
		die("/");
	change_mount("/", WHOLE_TREE, (struct attributes){ .set = READ_ONLY });
	/* Maps of ids are written there; what else is below needs rights that nobody here has. */
	change_mount("/proc", 0, (struct attributes){ .clear = READ_ONLY });
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	setsid();
}

/* The next text of stdin, or NULL at its end. */
static char *next_word(void)
{
	static size_t capacity;
	static char *word;

	/* A copy is as long as the word, so that reading beyond it is seen. */
	return getdelim(&word, &capacity, '\0', stdin) > 0 ? strdup(word) : NULL;
}

static int next_spec(char **words)
{
	static char name[] = "sing-starter";
	char *number = next_word();
	int count = number ? atoi(number) : -1;

	free(number);
	if (count > MOST_WORDS)
		die("too many words");
	words[0] = name;
	for (int index = 1; index <= count; index++) {
		if (!(words[index] = next_word()))
			die("stdin");
		has_instances |= strcmp(words[index], "instance") == 0;
	}
	words[count < 0 ? 0 : count + 1] = NULL;
	return count;
}

static void free_words(char **words)
{
	for (char **word = words + 1; *word; word++)
		free(*word);
}

/* Who sets up what is around a container, and has already answered. Its own end is where no spec looks for it. */
static void answer_at(int fd)
{
	static const char text[] = "nameserver 192.0.2.53\n";
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		die("socketpair");
	if (write(pair[1], text, sizeof text) != sizeof text || dup2(pair[0], fd) < 0 ||
	    fcntl(pair[1], F_DUPFD_CLOEXEC, 700) < 0)
		die("answer");
	close(pair[0]);
	close(pair[1]);
}

static _Noreturn void run_spec(int count, char **words, int null, int errors)
{
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	answer_at(STDERR_FILENO + 1);
	/* Not a spec: that this program sees what it looks for. */
	if (count == 1 && strcmp(words[1], "overflow") == 0)
		_exit(words[1][strlen(words[1]) + 1]);
	if (count == 1 && strcmp(words[1], "undefined") == 0)
		_exit(1 << (31 + count));
	_exit(starter_main(count + 1, words));
}

static int wait_for(pid_t child)
{
	int status = 0, pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	if (poll(&ended, 1, LONGEST_RUN_MS) == 0)
		kill(child, SIGKILL);
	close(pidfd);
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void report(int status, int errors)
{
	char text[65536];
	ssize_t length = pread(errors, text, sizeof text - 1, 0);

	text[length < 0 ? 0 : length] = '\0';
	printf("%d%c%s%c", status, 0, text, 0);
}

static void try_spec(int count, char **words, int null)
{
	/* One for each spec: an instance goes on in the background, and may still say something. */
	int errors = memfd_create("errors", MFD_CLOEXEC);
	pid_t child;

	if (errors < 0 || fcntl(errors, F_SETFL, O_APPEND) != 0)
		die("memfd_create");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0)
		run_spec(count, words, null, errors);
	report(wait_for(child), errors);
	close(errors);
}

/* Instances stay until somebody ends them. What they leave behind becomes our child in its turn. */
static void end_children(void)
{
	FILE *list = fopen("/proc/thread-self/children", "re");
	int child;

	while (list && fscanf(list, "%d", &child) == 1)
		kill(child, SIGKILL);
	if (list)
		fclose(list);
}

/* File servers end by themselves, and so must all else that a spec has started, or an alarm ends us. */
static void wait_for_the_rest(void)
{
	alarm(60);
	do {
		if (has_instances)
			end_children();
	} while (wait(NULL) > 0 || errno == EINTR);
}

int main(void)
{
	static char *words[MOST_WORDS + 2];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int count;

	close_the_world();
	while ((count = next_spec(words)) >= 0) {
		try_spec(count, words, null);
		free_words(words);
	}
	fflush(stdout);
	wait_for_the_rest();
	return 0;
}
