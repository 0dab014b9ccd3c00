/* Enters namespaces. */
#ifndef STARTER_NAMESPACES_H
#define STARTER_NAMESPACES_H

#include "spec.h"

/* The net namespace that the spec names, when it names one. */
void join_network(const struct spec *spec);

/* The user namespace with its maps of ids, when the spec has one. */
void enter_user_namespace(const struct spec *spec);

/* The mount namespace. Mounts of the host still come in afterwards, none goes back. */
void enter_mount_namespace(const struct spec *spec);

/* All others, except that of process ids: only what is forked behind it is in there. */
void enter_other_namespaces(const struct spec *spec);

#endif
