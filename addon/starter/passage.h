/* Descriptors on their way from one process to another, over a socket of the family AF_UNIX. */
#ifndef STARTER_PASSAGE_H
#define STARTER_PASSAGE_H

#include <stdbool.h>

/* False with errno. The descriptor stays open here, too. */
bool send_descriptor(int line, int fd);

/* Wait for one, which is close-on-exec; -1 when the other side has ended before. */
int receive_descriptor(int line);

#endif
