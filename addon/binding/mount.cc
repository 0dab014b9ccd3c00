// Mounts in the mount namespace of this process: short calls, made at once.
#include "mount.h"

#include <cerrno>
#include <string>
#include <sys/mount.h>
#include <sys/xattr.h>

#include "values.h"

namespace {

/* mount(type, at, options, readOnly): without setuid bits and devices; 0, or errno */
Napi::Value mount_at(const Napi::CallbackInfo &info)
{
	const std::string type = to_text(info[0], "type");
	const std::string at = to_text(info[1], "at");
	const std::string options = to_text(info[2], "options");
	const unsigned long access = info[3].ToBoolean().Value() ? MS_RDONLY : 0;
	const int result = mount("sing", at.c_str(), type.c_str(), MS_NOSUID | MS_NODEV | access, options.c_str());

	return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

/* unmount(at): at once for who comes later, for who is in there when they leave; 0, or errno */
Napi::Value unmount_at(const Napi::CallbackInfo &info)
{
	const std::string at = to_text(info[0], "at");
	const int result = umount2(at.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);

	return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

/* copyAttribute(name, from, to): one that is not there needs no copy; 0, or errno */
Napi::Value copy_attribute(const Napi::CallbackInfo &info)
{
	const std::string name = to_text(info[0], "name");
	const std::string from = to_text(info[1], "from");
	const std::string to = to_text(info[2], "to");
	char value[4096];
	const ssize_t size = getxattr(from.c_str(), name.c_str(), value, sizeof value);

	if (size < 0)
		return Napi::Number::New(info.Env(), errno == ENODATA || errno == EOPNOTSUPP ? 0 : errno);
	const int result = setxattr(to.c_str(), name.c_str(), value, static_cast<size_t>(size), 0);
	return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

} // namespace

Napi::Function mounter(Napi::Env env)
{
	return Napi::Function::New(env, mount_at, "mount");
}

Napi::Function unmounter(Napi::Env env)
{
	return Napi::Function::New(env, unmount_at, "unmount");
}

Napi::Function attribute_copier(Napi::Env env)
{
	return Napi::Function::New(env, copy_attribute, "copyAttribute");
}
