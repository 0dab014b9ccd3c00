/*
 * The filters for those who appear as root but own one id: system calls that would need more (chown, set*id, device nodes)
 * answer 0 without doing anything, so that package managers go on. Written as classic BPF (seccomp(2)):
 *
 *   load the architecture; jump to its part, or allow
 *   load the number; for each faked call: compare, return ERRNO(0)
 *   for each mknod: compare, load its mode, return ERRNO(0) for device nodes, else allow
 *   allow
 */
#include "security.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_INSTRUCTIONS = 512, MOST_CALLS = 48 };

/* A call that makes device nodes, and which of its arguments is the mode. */
struct mknod_call {
	unsigned number, mode_argument;
};

/* Numbers are of the kernel's tables; those of other architectures than our own are in no header. */
struct calls {
	unsigned architecture;
	unsigned ignored_bits; /* of the number */
	unsigned faked[MOST_CALLS]; /* closed by 0, which is no call of this kind anywhere */
	struct mknod_call mknods[3];
};

#if defined(__x86_64__)

static const struct calls all_calls[] = {
	{
		AUDIT_ARCH_X86_64,
		0x40000000, /* x32 has the same numbers with this bit */
		/* chown fchown lchown fchownat; setuid setgid setreuid setregid; setgroups setresuid setresgid;
		   setfsuid setfsgid capset; kexec_load, and as x32 */
		{ 92, 93, 94, 260, 105, 106, 113, 114, 116, 117, 119, 122, 123, 126, 246, 528 },
		{ { 133, 1 }, { 259, 2 } },
	},
	{
		AUDIT_ARCH_I386,
		0,
		/* chown fchown lchown; their 32 bit forms; fchownat */
		{ 182, 95, 16, 212, 207, 198, 298,
		  /* setuid setgid setreuid setregid setgroups setresuid setresgid setfsuid setfsgid; their 32 bit forms */
		  23, 46, 70, 71, 81, 164, 170, 138, 139, 213, 214, 203, 204, 206, 208, 210, 215, 216,
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
		/* fchownat fchown; setregid setgid setreuid setuid setresuid setresgid setfsuid setfsgid; setgroups capset
		   kexec_load */
		{ 54, 55, 143, 144, 145, 146, 147, 149, 151, 152, 159, 91, 104 },
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

static void emit_fake(struct program *program, unsigned number)
{
	emit_if_equal(program, number, 0, 1);
	emit_return(program, SECCOMP_RET_ERRNO);
}

/* The low half of the argument comes first: both architectures are little-endian. */
static void emit_mknod(struct program *program, const struct mknod_call *call)
{
	emit_if_equal(program, call->number, 0, 6);
	emit_load(program, offsetof(struct seccomp_data, args) + call->mode_argument * sizeof(__u64));
	emit(program, BPF_ALU | BPF_AND | BPF_K, S_IFMT, 0, 0);
	emit_if_equal(program, S_IFCHR, 1, 0);
	emit_if_equal(program, S_IFBLK, 0, 1);
	emit_return(program, SECCOMP_RET_ERRNO);
	emit_return(program, SECCOMP_RET_ALLOW);
}

static void emit_calls(struct program *program, const struct calls *calls, enum filter filter)
{
	emit_load(program, offsetof(struct seccomp_data, nr));
	emit(program, BPF_ALU | BPF_AND | BPF_K, ~calls->ignored_bits, 0, 0);
	if (filter == FILTER_FAKEROOT)
		for (const unsigned *number = calls->faked; *number; number++)
			emit_fake(program, *number);
	for (const struct mknod_call *call = calls->mknods; call->number; call++)
		emit_mknod(program, call);
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

bool install_filter(enum filter filter)
{
	struct program program = { .length = 0 };
	struct sock_fprog whole;

	emit_load(&program, offsetof(struct seccomp_data, arch));
	for (size_t index = 0; index < sizeof all_calls / sizeof *all_calls; index++)
		emit_architecture(&program, &all_calls[index], filter);
	emit_return(&program, SECCOMP_RET_ALLOW);
	whole = (struct sock_fprog){ .len = program.length, .filter = program.code };
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole, 0, 0) == 0;
}

bool install_program(const struct seccomp *seccomp)
{
	const struct sock_fprog whole = { .len = seccomp->length, .filter = seccomp->code };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, seccomp->flags, &whole) == 0;
}
