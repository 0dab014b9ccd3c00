/* What the payload may not do. */
#ifndef STARTER_SECURITY_H
#define STARTER_SECURITY_H

#include "spec.h"

/* no_new_privs, the system call filter and capabilities, as the spec says. Nothing of it can be taken back. */
void drop_powers(const struct spec *spec);

/* filter.c: install the filter. False with errno. */
bool install_filter(enum filter filter);

#endif
