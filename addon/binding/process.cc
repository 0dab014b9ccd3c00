// Becomes another program; the way of the engines themselves, process.execve, closes what the caller handed in. And locks files,
// gives them attributes and makes pipes, which the engines cannot.
#include "process.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <vector>

namespace {

std::vector<std::string> strings_of(const Napi::Value &value)
{
	const Napi::Array array = value.As<Napi::Array>();
	std::vector<std::string> strings;

	strings.reserve(array.Length());
	for (uint32_t index = 0; index < array.Length(); index++)
		strings.push_back(array.Get(index).As<Napi::String>().Utf8Value());
	return strings;
}

std::vector<char *> pointers_to(std::vector<std::string> &strings)
{
	std::vector<char *> pointers;

	pointers.reserve(strings.size() + 1);
	for (std::string &text : strings)
		pointers.push_back(text.data());
	pointers.push_back(nullptr);
	return pointers;
}

void keep_descriptor(int fd)
{
	const int flags = fcntl(fd, F_GETFD);

	if (flags >= 0)
		fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
}

/* The engines mark descriptors as close-on-exec when they start, Node also the first three; those of the caller go on. */
void keep_descriptors(const Napi::Array &descriptors)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		keep_descriptor(fd);
	for (uint32_t index = 0; index < descriptors.Length(); index++)
		keep_descriptor(descriptors.Get(index).As<Napi::Number>().Int32Value());
}

/* replaceProcess(file, arguments, environment, descriptors): does not return unless it fails, then errno */
Napi::Value replace_process(const Napi::CallbackInfo &info)
{
	const std::string file = info[0].As<Napi::String>().Utf8Value();
	std::vector<std::string> arguments = strings_of(info[1]);
	std::vector<std::string> environment = strings_of(info[2]);

	keep_descriptors(info[3].As<Napi::Array>());
	execve(file.c_str(), pointers_to(arguments).data(), pointers_to(environment).data());
	return Napi::Number::New(info.Env(), errno);
}

/* lockFile(descriptor, shared): takes the lock if it is free; 0, or errno */
Napi::Value lock_file(const Napi::CallbackInfo &info)
{
	const int kind = info[1].ToBoolean() ? LOCK_SH : LOCK_EX;
	const int result = flock(info[0].As<Napi::Number>().Int32Value(), kind | LOCK_NB);

	return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

/* noteOwner(path): notes on a file that it is root's, as the starter notes owners (ownership.c); 0, or errno */
Napi::Value note_owner(const Napi::CallbackInfo &info)
{
	const std::string path = info[0].As<Napi::String>().Utf8Value();
	const int result = setxattr(path.c_str(), "user.sing.stat", "0:0", 3, 0);

	return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

/* makePipe(): [end to read, end to write], or errno. Whoever has the latter may open it again by its name (/dev/stderr). */
Napi::Value make_pipe(const Napi::CallbackInfo &info)
{
	Napi::Array ends = Napi::Array::New(info.Env());
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return Napi::Number::New(info.Env(), errno);
	fchmod(fds[1], 0666);
	ends.Set(0u, fds[0]);
	ends.Set(1u, fds[1]);
	return ends;
}

/* lockRange(descriptor, offset, size): keeps writers out of a part of a file, and is kept out by them; 0, or errno */
Napi::Value lock_range(const Napi::CallbackInfo &info)
{
	struct flock lock = {};

	lock.l_type = F_RDLCK;
	lock.l_whence = SEEK_SET;
	lock.l_start = info[1].As<Napi::Number>().Int64Value();
	lock.l_len = info[2].As<Napi::Number>().Int64Value();
	const int result = fcntl(info[0].As<Napi::Number>().Int32Value(), F_OFD_SETLK, &lock);

	return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

/* guardSecrets(): nobody of the same user may read the memory of this process, which leaves no core either; 0, or errno */
Napi::Value guard_secrets(const Napi::CallbackInfo &info)
{
	const int result = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);

	return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

} // namespace

Napi::Function process_replacer(Napi::Env env)
{
	return Napi::Function::New(env, replace_process, "replaceProcess");
}

Napi::Function range_locker(Napi::Env env)
{
	return Napi::Function::New(env, lock_range, "lockRange");
}

Napi::Function file_locker(Napi::Env env)
{
	return Napi::Function::New(env, lock_file, "lockFile");
}

Napi::Function owner_noter(Napi::Env env)
{
	return Napi::Function::New(env, note_owner, "noteOwner");
}

Napi::Function pipe_maker(Napi::Env env)
{
	return Napi::Function::New(env, make_pipe, "makePipe");
}

Napi::Function secret_guard(Napi::Env env)
{
	return Napi::Function::New(env, guard_secrets, "guardSecrets");
}
