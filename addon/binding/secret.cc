// Short calls, made at once. A process that is hidden can be looked into by root alone, and leaves no core: its memory and its
// descriptors are nobody's business (prctl(2), PR_SET_DUMPABLE). The next program that it becomes is not hidden.
#include "secret.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "values.h"

namespace {

/* hideProcess(): 0, or errno */
Napi::Value hide_process(const Napi::CallbackInfo &info)
{
	return Napi::Number::New(info.Env(), prctl(PR_SET_DUMPABLE, 0) == 0 ? 0 : errno);
}

// What was written can be neither changed nor cut off by who gets the descriptor.
bool fill_and_seal(int fd, const char *bytes, size_t size)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

	return write(fd, bytes, size) == static_cast<ssize_t>(size) && fcntl(fd, F_ADD_SEALS, seals) == 0;
}

// Above those that other parts count on: a program that gets it has the same number for it.
constexpr int least_descriptor = 100;

int move_up(int fd)
{
	const int higher = fcntl(fd, F_DUPFD_CLOEXEC, least_descriptor);
	const int error = errno;

	close(fd);
	errno = error;
	return higher;
}

/* keepSecret(bytes): the descriptor, close-on-exec, of a file in memory with these bytes; or -errno */
Napi::Value keep_secret(const Napi::CallbackInfo &info)
{
	auto bytes = info[0].As<Napi::Buffer<char>>();
	const int low = memfd_create("sing-secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const int fd = low < 0 ? -1 : move_up(low);
	int error = fd < 0 ? errno : 0;

	if (fd >= 0 && !fill_and_seal(fd, bytes.Data(), bytes.Length())) {
		error = errno;
		close(fd);
	}
	return Napi::Number::New(info.Env(), error == 0 ? fd : -error);
}

} // namespace

Napi::Function process_hider(Napi::Env env)
{
	return Napi::Function::New(env, hide_process, "hideProcess");
}

Napi::Function secret_keeper(Napi::Env env)
{
	return Napi::Function::New(env, keep_secret, "keepSecret");
}
