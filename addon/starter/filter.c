/*
 * The filters for those who appear as root but own one id: system calls that would need more (chown, set*id, device nodes)
 * answer 0 without doing anything, so that package managers go on. Those who own more need it for device nodes alone. What is to
 * be recorded, and belongs to our own architecture, is answered by another process (recorder.c). Written as classic BPF (seccomp(2)):
 *
 *   load the architecture; jump to its part, or allow
 *   load the number; for each call about owners: compare, return ERRNO(0) or USER_NOTIF
 *   for each faked call: compare, return ERRNO(0)
 *   for each mknod: compare, load its mode, return the same as for owners for device nodes, else allow
 *   allow
 */
#include "security.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { MOST_INSTRUCTIONS = 512, MOST_CALLS = 48 };

/* A call that makes device nodes, and which of its arguments is the mode. */
struct mknod_call {
	unsigned number, mode_argument;
};

/* Our own architecture is the first. Numbers are of the kernel's tables; those of other architectures are in no header. */
struct calls {
	unsigned architecture;
	unsigned ignored_bits; /* of the number */
	unsigned owners[8]; /* calls that change them, closed by 0, which is no call of this kind anywhere */
	unsigned faked[MOST_CALLS]; /* likewise */
	struct mknod_call mknods[3];
};

#if defined(__x86_64__)

static const struct calls all_calls[] = {
	{
		AUDIT_ARCH_X86_64,
		0x40000000, /* x32 has the same numbers with this bit */
		/* chown fchown lchown fchownat */
		{ 92, 93, 94, 260 },
		/* setuid setgid setreuid setregid; setgroups setresuid setresgid;
		   setfsuid setfsgid capset; kexec_load, and as x32 */
		{ 105, 106, 113, 114, 116, 117, 119, 122, 123, 126, 246, 528 },
		{ { 133, 1 }, { 259, 2 } },
	},
	{
		AUDIT_ARCH_I386,
		0,
		/* chown fchown lchown; their 32 bit forms; fchownat */
		{ 182, 95, 16, 212, 207, 198, 298 },
		/* setuid setgid setreuid setregid setgroups setresuid setresgid setfsuid setfsgid; their 32 bit forms */
		{ 23, 46, 70, 71, 81, 164, 170, 138, 139, 213, 214, 203, 204, 206, 208, 210, 215, 216,
		  /* capset, kexec_load */
		  185, 283 },
		{ { 14, 1 }, { 297, 2 } },
	},
};

#elif defined(__aarch64__)

static const struct calls all_calls[] = {
	{
		AUDIT_ARCH_AARCH64,
		0,
		/* fchownat fchown */
		{ 54, 55 },
		/* setregid setgid setreuid setuid setresuid setresgid setfsuid setfsgid; setgroups capset
		   kexec_load */
		{ 143, 144, 145, 146, 147, 149, 151, 152, 159, 91, 104 },
		{ { 33, 2 } },
	},
};

#else
#error "the system call filter does not know the numbers of this architecture"
#endif

struct program {
	struct sock_filter code[MOST_INSTRUCTIONS];
	unsigned short length;
};

static void emit(struct program *program, unsigned code, unsigned value, unsigned char yes, unsigned char no)
{
	program->code[program->length++] = (struct sock_filter){ (unsigned short)code, yes, no, value };
}

static void emit_load(struct program *program, size_t offset)
{
	emit(program, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

static void emit_return(struct program *program, unsigned answer)
{
	emit(program, BPF_RET | BPF_K, answer, 0, 0);
}

static void emit_if_equal(struct program *program, unsigned value, unsigned char yes, unsigned char no)
{
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}

static void emit_answers(struct program *program, const unsigned *numbers, unsigned answer)
{
	for (; *numbers; numbers++) {
		emit_if_equal(program, *numbers, 0, 1);
		emit_return(program, answer);
	}
}

/* The low half of the argument comes first: both architectures are little-endian. */
static void emit_mknod(struct program *program, const struct mknod_call *call, unsigned answer)
{
	emit_if_equal(program, call->number, 0, 6);
	emit_load(program, offsetof(struct seccomp_data, args) + call->mode_argument * sizeof(__u64));
	emit(program, BPF_ALU | BPF_AND | BPF_K, S_IFMT, 0, 0);
	emit_if_equal(program, S_IFCHR, 1, 0);
	emit_if_equal(program, S_IFBLK, 0, 1);
	emit_return(program, answer);
	emit_return(program, SECCOMP_RET_ALLOW);
}

static void emit_calls(struct program *program, const struct calls *calls, enum filter filter)
{
	bool noted = is_recording(filter) && calls == all_calls;
	unsigned answer = noted ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ERRNO;

	emit_load(program, offsetof(struct seccomp_data, nr));
	emit(program, BPF_ALU | BPF_AND | BPF_K, ~calls->ignored_bits, 0, 0);
	if (filter == FILTER_FAKEROOT || filter == FILTER_RECORD) {
		emit_answers(program, calls->owners, answer);
		emit_answers(program, calls->faked, SECCOMP_RET_ERRNO);
	}
	for (const struct mknod_call *call = calls->mknods; call->number; call++)
		emit_mknod(program, call, answer);
	emit_return(program, SECCOMP_RET_ALLOW);
}

/* Behind the load of the architecture: the part is skipped for all others. */
static void emit_architecture(struct program *program, const struct calls *calls, enum filter filter)
{
	unsigned short test = program->length;

	emit_if_equal(program, calls->architecture, 1, 0);
	emit(program, BPF_JMP | BPF_JA, 0, 0, 0);
	emit_calls(program, calls, filter);
	program->code[test + 1].k = (unsigned)(program->length - test - 2);
}

static struct sock_fprog write_filter(enum filter filter, struct program *program)
{
	emit_load(program, offsetof(struct seccomp_data, arch));
	for (size_t index = 0; index < sizeof all_calls / sizeof *all_calls; index++)
		emit_architecture(program, &all_calls[index], filter);
	emit_return(program, SECCOMP_RET_ALLOW);
	return (struct sock_fprog){ .len = program->length, .filter = program->code };
}

bool install_filter(enum filter filter)
{
	struct program program = { .length = 0 };
	const struct sock_fprog whole = write_filter(filter, &program);

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole, 0, 0) == 0;
}

int install_listening_filter(enum filter filter)
{
	struct program program = { .length = 0 };
	const struct sock_fprog whole = write_filter(filter, &program);
	/* Since 5.19 a signal that does not kill waits: a device would be made, and asked for again. */
	long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &whole);

	if (listener < 0 && errno == EINVAL)
		listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &whole);
	return (int)listener;
}

bool install_program(const struct seccomp *seccomp)
{
	const struct sock_fprog whole = { .len = seccomp->length, .filter = seccomp->code };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, seccomp->flags, &whole) == 0;
}
