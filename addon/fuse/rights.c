/* Least rights: no descriptors, no capabilities, few system calls. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rights.h"

static bool is_kept(int fd, const int *keep, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (keep[i] == fd)
			return true;
	return false;
}

/* Before kernel 5.9. Not up to the limit: that may be a billion. */
static void close_listed(const int *keep, size_t count)
{
	DIR *list = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (list == NULL)
		return;
	while ((entry = readdir(list)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(list) && !is_kept(fd, keep, count))
			close(fd);
	}
	closedir(list);
}

void rights_close_all_but(const int *keep, size_t count)
{
	unsigned from = 0;

	for (size_t i = 0; i <= count; i++) {
		unsigned end = i < count ? (unsigned)keep[i] : UINT_MAX;
		unsigned last = i < count ? end - 1 : end;

		if (from < end && syscall(SYS_close_range, from, last, 0) != 0) {
			close_listed(keep, count);
			return;
		}
		from = end + 1;
	}
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	/* to the first that does not exist, or not at all without CAP_SETPCAP */
	for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &header, none);
}

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* A sanitizer needs calls of its own: those builds go without. */
#if defined(ARCHITECTURE) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
/* Skips `count` instructions unless the loaded value is `value`, has one of the bits, or is at least `value`. */
#define UNLESS_EQUAL(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define UNLESS_ANY(bits, count) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, count)
#define UNLESS_FROM(value, count) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, 0, count)
#define ALLOW(call) UNLESS_EQUAL(SYS_##call, 1), RETURN(SECCOMP_RET_ALLOW)
#define REFUSE(call, error) UNLESS_EQUAL(SYS_##call, 1), RETURN(SECCOMP_RET_ERRNO | (error))
/* Arguments are 64 bits wide, little-endian on both architectures; the flags in question are in the low half. */
#define ALLOW_UNLESS(call, argument, bits) \
	UNLESS_EQUAL(SYS_##call, 4), LOAD(args[argument]), UNLESS_ANY(bits, 1), \
		RETURN(SECCOMP_RET_ERRNO | EPERM), RETURN(SECCOMP_RET_ALLOW)
#define ALLOW_WITH(call, argument, bits) \
	UNLESS_EQUAL(SYS_##call, 4), LOAD(args[argument]), UNLESS_ANY(bits, 1), RETURN(SECCOMP_RET_ALLOW), \
		RETURN(SECCOMP_RET_ERRNO | EPERM)

static struct sock_filter filter[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
	/* numbers of the x32 interface */
	UNLESS_FROM(0x40000000, 1),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	/* requests, answers, the image */
	ALLOW(read),
	ALLOW(writev),
	ALLOW(pread64),
	ALLOW(futex),
	ALLOW(write),
	/* memory, never to be run */
	ALLOW_UNLESS(mmap, 2, PROT_EXEC),
	ALLOW_UNLESS(mprotect, 2, PROT_EXEC),
	ALLOW(munmap),
	ALLOW(mremap),
	ALLOW(madvise),
	ALLOW(brk),
	/* threads: the C library falls back from clone3, whose flags no filter can see, to clone */
	REFUSE(clone3, ENOSYS),
	ALLOW_WITH(clone, 0, CLONE_THREAD),
	ALLOW(set_robust_list),
	ALLOW(rseq),
	ALLOW(rt_sigaction),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(sched_yield),
	ALLOW(restart_syscall),
	/* the end, also the untidy one of abort() */
	ALLOW(close),
	ALLOW(gettid),
	ALLOW(getpid),
	ALLOW(tgkill),
	ALLOW(exit),
	ALLOW(exit_group),
	RETURN(SECCOMP_RET_ERRNO | EPERM),
};

static void drop_system_calls(void)
{
	struct sock_fprog program = { sizeof filter / sizeof filter[0], filter };

	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

#else

static void drop_system_calls(void)
{
}

#endif

void rights_drop(void)
{
	const struct rlimit no_core = { 0, 0 };

	/* not PR_SET_DUMPABLE, but for who holds a key: that would also hide from the user which image a server has open */
	setrlimit(RLIMIT_CORE, &no_core);
	drop_capabilities();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	drop_system_calls();
}
