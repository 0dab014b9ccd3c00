/*
 * Test stand-in for the starter: makes a user and a mount namespace, mounts an image through sing-squashfs at DIR, and runs
 * a command that sees it.
 *
 *   mount-squashfs [--wait] SERVER IMAGE OFFSET SIZE DIR [server option...] -- COMMAND...
 *
 * The command finds the server's pid in SERVER_PID. With --wait it takes the mount away after the command and says how the server ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPTIONS_MAX = 32 };

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "mount-squashfs: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	close(fd);
}

static void enter_user_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWUSER) != 0)
		fail("unshare user");
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "%d %d 1", uid, uid);
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof map, "%d %d 1", gid, gid);
	write_text("/proc/self/gid_map", map);
}

/* argv: SERVER IMAGE OFFSET SIZE DIR option... */
static pid_t start_server(char **argv, int options, int fuse, int image, int go)
{
	char fuse_fd[16], image_fd[16], go_fd[16];
	char *line[OPTIONS_MAX] = { argv[0], "--fuse", fuse_fd, "--image", image_fd, "--offset", argv[2],
				    "--size", argv[3], "--go", go_fd };
	int count = 11;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	snprintf(fuse_fd, sizeof fuse_fd, "%d", fuse);
	snprintf(image_fd, sizeof image_fd, "%d", image);
	snprintf(go_fd, sizeof go_fd, "%d", go);
	for (int i = 0; i < options && count < OPTIONS_MAX - 1; i++)
		line[count++] = argv[5 + i];
	execv(argv[0], line);
	fail(argv[0]);
}

static void mount_image(const char *directory, int fuse)
{
	char options[128];

	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		fail("unshare mount");
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other,default_permissions", fuse,
		 geteuid(), getegid());
	if (mount("fuse", directory, "fuse.sing", MS_NOSUID | MS_NODEV | MS_RDONLY, options) != 0)
		fail("mount");
}

static int run_and_wait(char **command, const char *directory, pid_t server)
{
	int status;
	int ended;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(command[0], command);
		fail(command[0]);
	}
	waitpid(pid, &status, 0);
	umount2(directory, MNT_DETACH);
	waitpid(server, &ended, 0);
	if (WIFSIGNALED(ended))
		fprintf(stderr, "server signal %d\n", WTERMSIG(ended));
	else
		fprintf(stderr, "server status %d\n", WEXITSTATUS(ended));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	bool waiting = argc > 1 && strcmp(argv[1], "--wait") == 0;
	int options = 0;
	int fuse, image;
	int go[2];
	char pid[16];
	pid_t server;

	argv += waiting ? 2 : 1;
	while (argv[5 + options] != NULL && strcmp(argv[5 + options], "--") != 0)
		options++;
	image = open(argv[1], O_RDONLY);
	if (image < 0)
		fail(argv[1]);
	enter_user_namespace();
	fuse = open("/dev/fuse", O_RDWR);
	if (fuse < 0 || pipe2(go, 0) != 0)
		fail("/dev/fuse");
	fcntl(go[1], F_SETFD, FD_CLOEXEC);
	server = start_server(argv, options, fuse, image, go[0]);
	snprintf(pid, sizeof pid, "%d", server);
	setenv("SERVER_PID", pid, 1);
	mount_image(argv[4], fuse);
	close(fuse);
	close(image);
	close(go[0]);
	/* a server that refused the image is gone by now, which the command will see */
	signal(SIGPIPE, SIG_IGN);
	if (write(go[1], "", 1) != 1 && errno != EPIPE)
		fail("go");
	signal(SIGPIPE, SIG_DFL);
	close(go[1]);
	argv += 5 + options + 1;
	if (waiting)
		return run_and_wait(argv, argv[-(5 + options + 1) + 4], server);
	execvp(argv[0], argv);
	fail(argv[0]);
}
