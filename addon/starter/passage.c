/* A message of one byte carries a descriptor (unix(7), SCM_RIGHTS). */
#include "passage.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* A message of one byte, with a descriptor. */
union passage {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

bool send_descriptor(int line, int fd)
{
	union passage passage = { .head = { CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec byte = { .iov_base = "!", .iov_len = 1 };
	const struct msghdr message = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &passage, .msg_controllen = sizeof passage.space
	};

	memcpy(CMSG_DATA(&passage.head), &fd, sizeof fd);
	return sendmsg(line, &message, MSG_NOSIGNAL) == 1;
}

int receive_descriptor(int line)
{
	union passage passage;
	char byte;
	struct iovec into = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &into, .msg_iovlen = 1, .msg_control = &passage, .msg_controllen = sizeof passage.space
	};
	int fd = -1;

	if (recvmsg(line, &message, MSG_CMSG_CLOEXEC) == 1 && message.msg_controllen >= CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(&passage.head), sizeof fd);
	return fd;
}
