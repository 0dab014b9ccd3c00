/* Gives up what the payload is not to have: new privileges, capabilities, and some system calls. */
#include "security.h"

#include "fail.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Without bounding set and inheritable ones an exec gives nothing back, not to uid 0 either (capabilities(7)). A process
 * that has not CAP_SETPCAP cannot shrink its bounding set; it has little to give up.
 */
static void drop_bounding_set(void)
{
	for (unsigned long capability = 0; capability < 64; capability++)
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
			break;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof none);
	if (syscall(SYS_capset, &header, none) != 0)
		fail("cannot drop capabilities: %s", strerror(errno));
}

void drop_powers(const struct spec *spec)
{
	if (spec->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("cannot refuse new privileges: %s", strerror(errno));
	if (spec->drop_capabilities)
		drop_bounding_set();
	/* Before the capabilities go: without no_new_privs a filter takes CAP_SYS_ADMIN (seccomp(2)). */
	if (spec->filter != FILTER_NONE && !install_filter(spec->filter))
		fail("cannot install the system call filter: %s", strerror(errno));
	/* A filter that answers capset by itself leaves them until the exec, which takes them for want of a bounding set. */
	if (spec->drop_capabilities)
		drop_capabilities();
	debug("dropped powers");
}
