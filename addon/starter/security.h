/* What the payload may not do. */
#ifndef STARTER_SECURITY_H
#define STARTER_SECURITY_H

#include "spec.h"

/* Keep the host's proc within reach, where the spec asks for a label of a security module. */
void open_label(const struct spec *spec);

/* no_new_privs, our own system call filter, ids and capabilities, as the spec says. Nothing of it can be taken back. */
void drop_powers(const struct spec *spec);

/* The last steps before the exec: the label that it gets, and the filter that the user gave. */
void confine(const struct spec *spec);

/* filter.c: install our own filter, or that of the user. False with errno. */
bool install_filter(enum filter filter);
/* One that records. The descriptor where its calls are heard, or -1 with errno. */
int install_listening_filter(enum filter filter);
bool install_program(const struct seccomp *seccomp);

#endif
