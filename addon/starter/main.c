/*
 * sing-starter: performs a launch spec, given as its arguments, and becomes the payload. The spec decides everything
 * (docs/launch-spec.md); what fails here is what the kernel refused.
 */
#include "fail.h"
#include "fuse.h"
#include "inputs.h"
#include "instance.h"
#include "lock.h"
#include "namespaces.h"
#include "perform.h"
#include "process.h"
#include "recorder.h"
#include "security.h"
#include "server.h"
#include "share.h"
#include "stage.h"
#include "supervise.h"
#include "sync.h"

#include <sched.h>

/* False when there is no container to enter, and this process is to make it. */
static bool join_container(const struct spec *spec, const struct caller *caller, int argc, char **argv)
{
	struct container container;
	bool other_pids;

	if (spec->join) {
		if (!open_container(spec->join, spec->join_started, &container))
			fail("cannot enter the container: %s", refusal());
	} else if (!spec->group || !find_shared(spec, &container)) {
		return false;
	}
	close_keys(spec);
	open_label(spec);
	other_pids = enter_container(&container);
	follow_parent(spec, caller);
	if (other_pids)
		fork_watched(spec, argc, argv);
	return true;
}

static void make_container(const struct spec *spec, const struct caller *caller, int argc, char **argv)
{
	struct input *inputs;
	struct stage stage;
	int written;

	prepare_instance(spec);
	inputs = open_images(spec); /* while we still are who the user is */
	start_servers_with_keys(spec, inputs); /* out of reach of the container's root */
	join_network(spec); /* with the rights of the host */
	enter_user_namespace(spec);
	follow_parent(spec, caller);
	open_label(spec);
	start_recorder(spec, argc, argv); /* so that it does not keep the mount namespace */
	start_servers(spec, inputs); /* outside of the mount namespace: see server.c */
	start_fuse_programs(spec, inputs);
	enter_other_namespaces(spec);
	await_answer(spec);
	written = stay_until_written(spec, argc, argv);
	start_keeper(spec, inputs);
	enter_mount_namespace(spec);
	announce_shared();
	open_sources(spec, inputs);
	set_stage(spec, &stage);
	hold_in_servers(spec, inputs, written, &stage);
	perform_root(spec, inputs, &stage); /* its servers may not end with the pid namespace */
	tell_root_is_made(written);
	enter_pid_namespace(spec, argc, argv); /* a fresh proc shows the pid namespace of who mounts it */
	perform_rest(spec, inputs, &stage);
	enter_root(spec, &stage);
	start_inner_programs(spec, inputs, caller);
}

int main(int argc, char **argv)
{
	struct caller caller = begin_work();
	struct spec spec;

	read_spec(argc - 1, argv + 1, &spec);
	if (!join_container(&spec, &caller, argc, argv))
		make_container(&spec, &caller, argc, argv);
	settle(&spec, &caller);
	drop_powers(&spec);
	leave_init_behind(&spec, argc, argv);
	become(&spec, &caller);
}
