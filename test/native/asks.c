/*
 * Asks for owners and devices in every way there is, in its working directory, and prints what was answered:
 *
 *   asks answers [devices [ids]]   `NAME ERRNO` for each case, with devices, and with the largest ids
 *   asks list                      `PATH TYPE MODE UID GID DEVICE CAPABLE` of every file below it, notes applied
 *   asks another                   as another user than root
 *   asks give FILE...              as useradd gives what it writes to the owner of what it replaces
 *   asks stress                    from many threads, with signals, and by processes that are killed
 *   asks fuse                      while another call waits for a file system that does not answer
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void say(const char *name, long result)
{
	printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}

#define SAY(call) say(#call, call)

static const char *volatile nowhere;
static bool devices, all_ids;

static int make(const char *path, mode_t mode)
{
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 || fchmod(fd, mode) != 0)
		_exit(99);
	return fd;
}

static void make_directory(const char *path, mode_t mode)
{
	if (mkdir(path, 0700) != 0 || chmod(path, mode) != 0)
		_exit(99);
}

static void make_link(const char *to, const char *path)
{
	if (symlink(to, path) != 0)
		_exit(99);
}

static void lay_out(void)
{
	static const char *const files[] = { "plain", "uid", "gid", "same", "both", "followed", "renamed", "linked",
		                             "back", "dir/below", "dir/by-fd", "absolute", "edge", "thread" };

	umask(022);
	make_directory("dir", 0755);
	for (size_t index = 0; index < sizeof files / sizeof *files; index++)
		close(make(files[index], 0644));
	close(make("setids", 06755));
	close(make("unexecutable", 06644));
	close(make("capable", 0755));
	make_directory("setdir", 06775);
	make_link("followed", "link");
	make_link("nowhere", "dangling");
	make_link("loop", "loop");
	make_link("dir", "dirlink");
	make_link("x", "onlyuid");
	make_link("x", "movedlink");
	if (mkfifo("pipe", 0640) != 0)
		_exit(99);
}

static void ask_by_path(void)
{
	SAY(chown("plain", 5, 6));
	SAY(chown("uid", 5, -1));
	SAY(chown("gid", -1, 6));
	SAY(chown("same", -1, -1));
	SAY(chown("both", 5, -1));
	SAY(chown("both", -1, 7));
	SAY(chown("back", 5, 6));
	SAY(chown("back", 0, 0));
	SAY(chown("setids", 5, 6));
	SAY(chown("unexecutable", -1, -1));
	SAY(chown("setdir", 5, 6));
	SAY(chown("link", 8, 9));
	SAY(chown("dangling", 8, 9));
	SAY(chown("loop", 8, 9));
	SAY(chown("nothere", 8, 9));
	SAY(chown("plain/x", 8, 9));
	SAY(chown("plain/", 8, 9));
	SAY(chown("dir/../dir/./below", 8, 9));
	SAY(chown("", 8, 9));
	SAY(chown(nowhere, 8, 9));
	SAY(lchown("link", 10, 11));
	SAY(lchown("dangling", 10, 11));
	SAY(lchown("onlyuid", 10, -1));
	SAY(lchown("onlyuid", -1, 12));
	SAY(lchown("dirlink/", 12, 13));
	SAY(lchown("pipe", 14, 15));
	SAY(chown("renamed", 16, 17));
	SAY(rename("renamed", "dir/renamed"));
	SAY(chown("linked", 16, 17));
	SAY(link("linked", "dir/linked"));
	SAY(lchown("movedlink", 18, 19));
	SAY(rename("movedlink", "dir/movedlink"));
}

/* Paths at the edges of pages and of lengths. */
static void ask_with_odd_paths(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, (size_t)page * 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static char longest[2 * 4096], name[300] = "";

	munmap(memory + 2 * page, (size_t)page);
	strcpy(memory + page - 2, "edge");
	SAY(chown(memory + page - 2, 20, 21));
	strcpy(memory + 2 * page - 5, "edge");
	SAY(chown(memory + 2 * page - 5, 22, 23));
	memcpy(memory + 2 * page - 4, "edge", 4);
	SAY(chown(memory + 2 * page - 4, 24, 25));
	SAY(chown(memory + 2 * page, 24, 25));
	SAY(chown((char *)-4096L, 24, 25));
	for (size_t at = 0; at < 4090; at += 2)
		memcpy(longest + at, "./", 3);
	strcat(longest, "edge");
	SAY(chown(longest, 26, 27));
	strcat(longest, ".....");
	SAY(chown(longest, 28, 29));
	memset(name, 'n', 256);
	SAY(chown(name, 28, 29));
}

static void ask_by_descriptor(void)
{
	int directory = open("dir", O_RDONLY | O_DIRECTORY), file = open("dir/by-fd", O_RDONLY);
	int ends[2], gone = make("gone", 0600);
	struct stat status;

	SAY(fchown(file, 30, 31));
	SAY(fchown(-1, 1, 1));
	SAY(fchown(777, 1, 1));
	SAY(fchown(gone, 1, 1));
	SAY(unlink("gone"));
	SAY(fchown(gone, 1, 1));
	SAY(pipe(ends));
	SAY(fchown(ends[0], 1, 1));
	SAY(fchown(socket(AF_UNIX, SOCK_STREAM, 0), 1, 1));
	SAY(fchownat(directory, "below", 32, 33, 0));
	SAY(fchownat(directory, "nothere", 32, 33, 0));
	SAY(fchownat(directory, "", 34, 35, 0));
	SAY(fchownat(directory, "", 34, 35, AT_EMPTY_PATH));
	SAY(fchownat(open("plain", O_PATH), "", 36, 37, AT_EMPTY_PATH));
	SAY(fchownat(open("onlyuid", O_PATH | O_NOFOLLOW), "", 38, 39, AT_EMPTY_PATH));
	SAY(fchownat(AT_FDCWD, "", 40, 41, AT_EMPTY_PATH));
	SAY(fchownat(AT_FDCWD, "dirlink", 42, 43, AT_SYMLINK_NOFOLLOW));
	SAY(fchownat(AT_FDCWD, "plain", 42, 43, 0x4000));
	SAY(fchownat(file, "x", 42, 43, 0));
	SAY(fchownat(777, "x", 42, 43, 0));
	SAY(fchownat(777, "", 42, 43, AT_EMPTY_PATH));
	SAY(fstat(file, &status));
}

static void *ask_in_thread(void *nothing)
{
	SAY(unshare(CLONE_FS));
	SAY(chdir("dir"));
	SAY(chown("../thread", 50, 51));
	SAY(chown("below", 52, 53));
	return nothing;
}

/* In a child: what the others see of it are the files. */
static void in_child(void (*act)(void))
{
	int status;

	if (fork() == 0) {
		act();
		_exit(0);
	}
	wait(&status);
	say("child", status == 0 ? 0 : -1);
}

static void ask_in_root_of_its_own(void)
{
	SAY(chroot("jail"));
	SAY(chown("/inner", 60, 61));
	SAY(chown("/up", 62, 63)); /* a link to /../../inner2 */
	SAY(chdir("/"));
	SAY(chown("../../../inner3", 64, 65));
}

static void ask_with_other_mounts(void)
{
	SAY(unshare(CLONE_NEWNS | CLONE_NEWPID));
	SAY(mount("shown", "covered", NULL, MS_BIND, NULL));
	if (fork() == 0) {
		SAY(chown("covered/file", 66, 67)); /* is shown/file */
		SAY(mount("shown", "fixed", NULL, MS_BIND, NULL));
		SAY(mount(NULL, "fixed", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
		SAY(chown("fixed/file", 68, 69));
		if (devices)
			SAY(mknod("fixed/device", S_IFCHR | 0600, makedev(1, 3)));
		_exit(0);
	}
	wait(NULL);
}

static void lay_out_views(void)
{
	make_directory("jail", 0755);
	make_directory("jail/deep", 0755);
	for (int index = 0; index < 3; index++)
		close(make(((const char *[]){ "jail/inner", "jail/inner2", "jail/inner3" })[index], 0644));
	make_link("/../../inner2", "jail/up");
	make_directory("shown", 0755);
	make_directory("covered", 0755);
	make_directory("fixed", 0755);
	close(make("shown/file", 0644));
	close(make("covered/file", 0644));
}

static void ask_from_elsewhere(void)
{
	char here[4096], path[4200];
	pthread_t thread;

	snprintf(path, sizeof path, "%s/absolute", getcwd(here, sizeof here));
	say("absolute", chown(path, 54, 55));
	say("absolute with a descriptor that is none", fchownat(777, path, 56, 57, 0));
	pthread_create(&thread, NULL, ask_in_thread, NULL);
	pthread_join(thread, NULL);
	in_child(ask_in_root_of_its_own);
	in_child(ask_with_other_mounts);
}

/* Becoming another is answered with 0 by all; with one id nobody has become it. */
static void ask_to_become(void)
{
	SAY(setresgid(12, 12, 12));
	SAY(setresuid(11, 11, 11));
}

static void ask_as_another(void)
{
	make_directory("open", 0777);
	close(make("root's", 0644));
	ask_to_become();
	SAY(mknod("closed", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("open/device", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("open/fifo", S_IFIFO | 0600, 0));
	SAY(chown("open/fifo", 0, 0));
	SAY(chown("root's", 11, 12));
}

static void ask_for_capabilities(void)
{
	/* cap_net_raw, permitted and effective */
	const struct vfs_cap_data data = { .magic_etc = VFS_CAP_REVISION_2 | 1, .data = { { 1U << 13, 0 }, { 0, 0 } } };

	close(make("stripped", 0755));
	SAY(setxattr("stripped", "security.capability", &data, sizeof data, 0));
	SAY(chown("stripped", 70, 71));
	SAY(chown("capable", 70, 71));
	SAY(setxattr("capable", "security.capability", &data, sizeof data, 0));
}

static void ask_for_nodes(void)
{
	SAY(mknod("fifo", S_IFIFO | 0644, 0));
	SAY(mknod("regular", S_IFREG | 0644, 0));
	SAY(mknod("nothing", 0644, 0));
	SAY(mknod("socket", S_IFSOCK | 0644, 0));
	SAY(chown("fifo", 72, 73));
	SAY(chown("socket", 72, 73));
}

static void ask_for_devices(void)
{
	int directory = open("dir", O_PATH | O_DIRECTORY);

	SAY(mknod("whiteout", S_IFCHR | 0600, 0));
	SAY(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	umask(027);
	SAY(mknod("disk", S_IFBLK | 0666, makedev(259, 70000)));
	SAY(mknod("setdevice", S_IFCHR | 06777, makedev(5, 1)));
	SAY(chown("disk", 80, 81));
	SAY(chmod("disk", 0640));
	SAY(chown("setdevice", 80, 81));
	SAY(chown("setdevice", 0, 0));
	SAY(rename("setdevice", "dir/setdevice"));
	SAY(mknodat(directory, "below-it", S_IFCHR | 0600, makedev(1, 5)));
	SAY(mknodat(777, "x", S_IFCHR | 0600, makedev(1, 5)));
	SAY(mknod("dir//last", S_IFCHR | 0600, makedev(1, 5)));
	SAY(mknod("null", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("dangling", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("dir", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("dir/.", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("dir/..", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("/", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("///", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("slash/", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("nodir/x", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("plain/x", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod("", S_IFCHR | 0600, makedev(1, 3)));
	SAY(mknod(nowhere, S_IFCHR | 0600, makedev(1, 3)));
	if (all_ids)
		SAY(chown("uid", 4294967294U, 4000000000U));
}

static void list(const char *directory);

/* Attributes that say what the file is to be; see docs/fakeroot.md. */
static void apply_note(const char *path, struct stat *status, char *capable)
{
	struct vfs_ns_cap_data data = { .magic_etc = 0 };
	unsigned uid, gid, major, minor;
	char text[64] = "", device = 0;
	int fields;

	lgetxattr(path, "user.sing.stat", text, sizeof text - 1);
	fields = sscanf(text, "%u:%u:%c:%u:%u", &uid, &gid, &device, &major, &minor);
	if (fields == 0 && sscanf(text, "%c:%u:%u", &device, &major, &minor) == 3)
		fields = 5;
	else if (fields >= 2) {
		status->st_uid = uid;
		status->st_gid = gid;
	}
	if (fields == 5) {
		status->st_mode = (status->st_mode & 07777) | (device == 'c' ? S_IFCHR : S_IFBLK);
		status->st_rdev = makedev(major, minor);
	}
	if (lgetxattr(path, "security.capability", &data, sizeof data) < 0)
		return;
	if (S_ISREG(status->st_mode)) {
		*capable = '+';
	} else {
		status->st_uid = data.data[0].permitted;
		status->st_gid = data.data[1].permitted;
	}
}

static void list_entry(const char *path)
{
	char capable = '-', type;
	struct stat status;

	if (lstat(path, &status) != 0)
		_exit(98);
	apply_note(path, &status, &capable);
	type = "?pc?d?b?-?l?s???"[status.st_mode >> 12];
	printf("%s %c %04o %u %u %u:%u %c\n", path, type, status.st_mode & 07777, status.st_uid, status.st_gid,
	       type == 'c' || type == 'b' ? major(status.st_rdev) : 0, type == 'c' || type == 'b' ? minor(status.st_rdev) : 0,
	       capable);
	if (S_ISDIR(status.st_mode))
		list(path);
}

static void list(const char *directory)
{
	struct dirent **entries;
	int count = scandir(directory, &entries, NULL, alphasort);
	char path[4096];

	for (int index = 0; index < count; index++) {
		const char *name = entries[index]->d_name;

		snprintf(path, sizeof path, "%s/%s", directory, name);
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			list_entry(path);
	}
}

static void on_alarm(int number)
{
	(void)number;
}

enum { THREADS = 32, FILES = 100 };

static void *own_files(void *argument)
{
	long thread = (long)argument;
	char path[64];

	for (int index = 0; index < FILES; index++) {
		snprintf(path, sizeof path, "t%ld-%d", thread, index);
		close(make(path, 0600));
		if (chown(path, (uid_t)thread + 1, (gid_t)index + 1) != 0)
			say(path, -1);
		snprintf(path, sizeof path, "d%ld-%d", thread, index);
		if (mknod(path, S_IFCHR | 0600, makedev(1, 3)) != 0)
			say(path, -1);
	}
	return NULL;
}

static void stress(void)
{
	const struct itimerval often = { { 0, 500 }, { 0, 500 } };
	const struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	pthread_t threads[THREADS];
	pid_t victims[THREADS];

	make("victim", 0600);
	for (int index = 0; index < THREADS; index++)
		if ((victims[index] = fork()) == 0)
			for (;;)
				lchown("victim", 1, 1);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (long index = 0; index < THREADS; index++)
		pthread_create(&threads[index], NULL, own_files, (void *)index);
	for (int index = 0; index < THREADS; index++) {
		kill(victims[index], SIGKILL);
		pthread_join(threads[index], NULL);
		waitpid(victims[index], NULL, 0);
	}
	SAY(chown("victim", 2, 3));
}

static void *ask_the_mute(void *nothing)
{
	if (chown("mute/file", 1, 1) == 0 || errno != ENOTCONN)
		say("mute", -1);
	return nothing;
}

/* A FUSE file system whose server never reads what is asked. */
static void wait_for_the_mute(void)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[128];
	pthread_t askers[8];

	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	make_directory("mute", 0755);
	close(make("other", 0600));
	SAY(mount("mute", "mute", "fuse", MS_NOSUID | MS_NODEV, options));
	for (int index = 0; index < 8; index++)
		pthread_create(&askers[index], NULL, ask_the_mute, NULL);
	usleep(100000);
	SAY(chown("other", 5, 6));
	close(fuse);
	for (int index = 0; index < 8; index++)
		pthread_join(askers[index], NULL);
	SAY(chown("other", 7, 8));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "list") == 0) {
		list(".");
	} else if (strcmp(what, "stress") == 0) {
		stress();
	} else if (strcmp(what, "another") == 0) {
		ask_as_another();
	} else if (strcmp(what, "give") == 0) {
		for (int index = 2; index < argc; index++)
			say(argv[index], fchown(open(argv[index], O_RDWR), 0, 0));
	} else if (strcmp(what, "fuse") == 0) {
		wait_for_the_mute();
	} else {
		devices = argc > 2;
		all_ids = argc > 3;
		lay_out();
		lay_out_views();
		ask_by_path();
		ask_with_odd_paths();
		ask_by_descriptor();
		ask_from_elsewhere();
		ask_for_capabilities();
		ask_for_nodes();
		if (devices)
			ask_for_devices();
		in_child(ask_to_become);
	}
	return 0;
}
