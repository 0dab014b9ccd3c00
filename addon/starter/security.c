/* Gives up what the payload is not to have: new privileges, ids, capabilities, and some system calls. */
#include "security.h"

#include "fail.h"
#include "recorder.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_in(uint64_t set, unsigned capability)
{
	return set >> capability & 1;
}

/*
 * Beyond bounding set and inheritable ones an exec gives nothing back, not to uid 0 either (capabilities(7)). A process
 * that has not CAP_SETPCAP cannot shrink its bounding set; it has little to give up.
 */
static void bound_capabilities(uint64_t kept)
{
	for (unsigned capability = 0; capability < 64; capability++)
		if (!is_in(kept, capability) && prctl(PR_CAPBSET_DROP, (unsigned long)capability, 0, 0, 0) != 0)
			break;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* Keep what of the set is there. Others than uid 0 take capabilities through an exec as ambient ones only. */
static void keep_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	bool ambient = geteuid() != 0;

	if (syscall(SYS_capget, &header, data) != 0)
		fail("cannot read capabilities: %s", strerror(errno));
	for (unsigned word = 0; word < 2; word++) {
		data[word].permitted &= (uint32_t)(kept >> (32 * word));
		data[word].effective = data[word].permitted;
		data[word].inheritable = ambient ? data[word].permitted : 0;
	}
	if (syscall(SYS_capset, &header, data) != 0)
		fail("cannot drop capabilities: %s", strerror(errno));
	for (unsigned capability = 0; ambient && capability < 64; capability++)
		if (is_in(data[capability / 32].permitted, capability % 32) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, (unsigned long)capability, 0, 0) != 0)
			fail("cannot keep capability %u: %s", capability, strerror(errno));
}

static void switch_user(const struct spec *spec)
{
	const struct user *user = &spec->user;

	if (spec->capabilities != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		fail("cannot keep capabilities: %s", strerror(errno));
	if (setgroups(user->group_count, user->groups) != 0)
		fail("cannot set supplementary groups: %s", strerror(errno));
	if (setresgid(user->gid, user->gid, user->gid) != 0)
		fail("cannot become gid %u: %s", user->gid, strerror(errno));
	if (setresuid(user->uid, user->uid, user->uid) != 0)
		fail("cannot become uid %u: %s", user->uid, strerror(errno));
}

void drop_powers(const struct spec *spec)
{
	if (spec->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("cannot refuse new privileges: %s", strerror(errno));
	if (!spec->all_capabilities)
		bound_capabilities(spec->capabilities);
	/* Before the capabilities go: without no_new_privs a filter takes CAP_SYS_ADMIN (seccomp(2)). */
	if (is_recording(spec->filter))
		install_recording_filter(spec->filter);
	else if (spec->filter != FILTER_NONE && !install_filter(spec->filter))
		fail("cannot install the system call filter: %s", strerror(errno));
	if (spec->user.given)
		switch_user(spec);
	/* A filter that answers capset by itself leaves them until the exec, which takes them for want of a bounding set. */
	if (!spec->all_capabilities)
		keep_capabilities(spec->capabilities);
	debug("dropped powers");
}

/* Of the host, because the container's may be missing or be something else; set when there is a label to write. */
static int host_proc = -1;

void open_label(const struct spec *spec)
{
	if (!spec->label.text)
		return;
	host_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (host_proc < 0)
		fail("cannot open /proc: %s", strerror(errno));
}

/* Since kernel 5.1 AppArmor has a directory of its own; the old file belongs to whichever module came first. */
static void set_label(const struct label *label)
{
	char text[LONGEST_LABEL + 8];
	int length = snprintf(text, sizeof text, "%s%s", label->apparmor ? "exec " : "", label->text);

	AUTO_CLOSE int own = label->apparmor ? openat(host_proc, "self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC) : -1;
	AUTO_CLOSE int common = own < 0 ? openat(host_proc, "self/attr/exec", O_WRONLY | O_CLOEXEC) : -1;
	if (write(own < 0 ? common : own, text, (size_t)length) != length)
		fail("cannot take the %s %s: %s", label->apparmor ? "AppArmor profile" : "SELinux context", label->text,
		     strerror(errno));
}

void confine(const struct spec *spec)
{
	if (spec->label.text)
		set_label(&spec->label);
	if (spec->seccomp.length > 0 && !install_program(&spec->seccomp))
		fail("cannot install the seccomp profile: %s", strerror(errno));
}
