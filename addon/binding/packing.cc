// Takes options, entries and data from JS and hands them to the writer; see addon/squashfs/writer.h.
#include "packing.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "values.h"

namespace {

bool proceed(void *user, uint64_t bytes)
{
	auto *packing = static_cast<Packing *>(user);
	packing->progress = bytes;
	return !packing->cancelled;
}

sing_writer_options read_options(const Napi::Object &object)
{
	sing_writer_options options{};
	options.fd = static_cast<int>(to_unsigned(object, "fd", INT32_MAX));
	options.offset = to_unsigned(object, "offset", INT64_MAX);
	options.compressor = static_cast<uint16_t>(to_unsigned(object, "compressor", 6));
	options.level = static_cast<uint32_t>(to_unsigned(object, "level", 22));
	options.block_size = static_cast<uint32_t>(to_unsigned(object, "blockSize", 1 << 20));
	options.workers = static_cast<uint32_t>(to_unsigned(object, "workers", 1024));
	options.own = to_bool(object, "own");
	options.own_unknown = to_bool(object, "ownUnknown");
	options.uid = static_cast<uint32_t>(to_unsigned(object, "uid", UINT32_MAX));
	options.gid = static_cast<uint32_t>(to_unsigned(object, "gid", UINT32_MAX));
	options.clamp = to_bool(object, "clamp");
	options.time = static_cast<uint32_t>(to_unsigned(object, "time", UINT32_MAX));
	return options;
}

void read_encryption(const Napi::Object &object, Encryption &encryption)
{
	Napi::Value key = object.Get("key");
	if (!key.IsTypedArray() || key.As<Napi::TypedArray>().ByteLength() != SING_SEAL_KEY)
		throw Napi::TypeError::New(object.Env(), "key: expected 32 bytes");
	memcpy(encryption.with.key, key.As<Napi::Uint8Array>().Data(), SING_SEAL_KEY);
	encryption.name = to_text(object, "name");
	encryption.configuration = to_bytes(object.Get("configuration"), "configuration");
	encryption.with.name = encryption.name.c_str();
	encryption.with.configuration = encryption.configuration.data();
	encryption.with.configuration_size = encryption.configuration.size();
}

void read_xattrs(const Napi::Object &object, Step &step)
{
	Napi::Array names = object.GetPropertyNames();
	for (uint32_t i = 0; i < names.Length(); i++) {
		Napi::Value name = names.Get(i);
		step.xattrs.emplace_back(to_text(name, "xattrs"), to_bytes(object.Get(name), "xattrs"));
	}
	std::sort(step.xattrs.begin(), step.xattrs.end());
}

Step read_entry(const Napi::Object &object)
{
	Step step;
	step.bytes = to_text(object, "path");
	step.is_link = to_bool(object, "isLink");
	step.link = to_text(object, "link");
	step.target = to_text(object, "target");
	step.size = to_unsigned(object, "size", INT64_MAX);
	step.attributes.mode = static_cast<uint32_t>(to_unsigned(object, "mode", 0177777));
	step.attributes.uid = static_cast<uint32_t>(to_unsigned(object, "uid", UINT32_MAX));
	step.attributes.gid = static_cast<uint32_t>(to_unsigned(object, "gid", UINT32_MAX));
	step.attributes.mtime = to_signed(object, "mtime");
	step.attributes.major = static_cast<uint32_t>(to_unsigned(object, "major", 0xfff));
	step.attributes.minor = static_cast<uint32_t>(to_unsigned(object, "minor", 0xfffff));
	if (object.Get("xattrs").IsObject())
		read_xattrs(object.Get("xattrs").As<Napi::Object>(), step);
	return step;
}

Step read_step(const Napi::Value &value)
{
	if (!value.IsTypedArray())
		return read_entry(value.As<Napi::Object>());
	Step step;
	step.is_data = true;
	step.bytes = to_bytes(value, "data");
	return step;
}

int perform(sing_entries &entries, const Step &step)
{
	if (step.is_data)
		return sing_entries_data(&entries, step.bytes.data(), step.bytes.size());
	std::vector<sing_xattr> xattrs;
	for (const auto &[name, value] : step.xattrs)
		xattrs.push_back({name.c_str(), value.data(), value.size()});
	sing_attributes attributes = step.attributes;
	attributes.target = step.target.c_str();
	attributes.xattrs = xattrs.data();
	attributes.xattr_count = xattrs.size();
	return sing_entries_add(&entries, step.bytes.c_str(), &attributes, step.size,
				step.is_link ? step.link.c_str() : nullptr);
}

} // namespace

Encryption::~Encryption()
{
	explicit_bzero(with.key, sizeof with.key);
}

Packing::~Packing()
{
	sing_writer_close(writer);
	if (options.fd >= 0)
		close(options.fd);
}

void set_up(Packing &packing, const Napi::Object &object)
{
	packing.options.fd = -1;
	sing_writer_options options = read_options(object);
	if (object.Get("encryption").IsObject()) {
		read_encryption(object.Get("encryption").As<Napi::Object>(), packing.encryption);
		options.encryption = &packing.encryption.with;
	}
	// a descriptor of our own: the caller may close the other one while a thread still works
	options.fd = fcntl(options.fd, F_DUPFD_CLOEXEC, 0);
	if (options.fd < 0) {
		sing_failure failure{};
		sing_fail(&failure, errno, "write", "");
		throw to_error(object.Env(), failure);
	}
	options.user = &packing;
	options.proceed = proceed;
	packing.options = options;
}

std::shared_ptr<std::vector<Step>> read_steps(const Napi::Value &value)
{
	auto steps = std::make_shared<std::vector<Step>>();
	auto list = value.As<Napi::Array>();
	for (uint32_t i = 0; i < list.Length(); i++)
		steps->push_back(read_step(list.Get(i)));
	return steps;
}

bool begin(Packing &packing, sing_failure &failure)
{
	if (packing.writer != nullptr)
		return true;
	packing.writer = sing_writer_open(&packing.options, &failure);
	packing.entries.writer = packing.writer;
	return packing.writer != nullptr;
}

void push(Packing &packing, const std::vector<Step> &steps, sing_failure &failure)
{
	if (!begin(packing, failure))
		return;
	for (const Step &step : steps) {
		if (perform(packing.entries, step) != 0) {
			failure = packing.entries.failure;
			return;
		}
	}
}

void finish(Packing &packing, sing_failure &failure)
{
	if (!begin(packing, failure))
		return;
	if (sing_entries_end(&packing.entries) != 0) {
		failure = packing.entries.failure;
		return;
	}
	int reason = sing_writer_finish(packing.writer, &packing.result);
	if (reason != 0)
		sing_fail(&failure, reason, "write", "");
}

void occupy(Packing *packing, Napi::Env env)
{
	if (packing == nullptr || packing->busy)
		throw Napi::Error::New(env, "the packer is closed or busy");
	packing->busy = true;
}

Napi::Object to_result(Napi::Env env, const Packing &packing)
{
	Napi::Object result = Napi::Object::New(env);
	result.Set("size", static_cast<double>(packing.result.size));
	result.Set("entries", static_cast<double>(packing.result.entries));
	result.Set("bytes", static_cast<double>(packing.result.bytes));
	return result;
}
