/* Starts the programs that serve squashfs images, and loop devices in their place where the kernel may do it itself. */
#ifndef STARTER_SERVER_H
#define STARTER_SERVER_H

#include "inputs.h"

/*
 * Start the servers of encrypted images, which wait for what start_servers hands them; before the user namespace is entered.
 * Closes the keys.
 */
void start_servers_with_keys(const struct spec *spec, struct input *inputs);

/* In a process that enters a container and starts no server. */
void close_keys(const struct spec *spec);

/* Attach loop devices and start the servers of all images; before the mount namespace is unshared. */
void start_servers(const struct spec *spec, struct input *inputs);

/*
 * Start one server from inside of the private mount namespace: it goes back to the host's first. For images that the
 * kernel did not want to mount after all.
 */
bool start_late_server(const struct op *op, struct input *input);

/* Tell the server that its mount is there. False with a refusal when it could not be started. */
bool release_server(struct input *input);

/* In a child that cannot become the server: hand errno to who waits for it (`report` of its input), and end. */
_Noreturn void report_failure(int report);

#endif
