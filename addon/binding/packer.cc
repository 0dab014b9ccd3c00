// Packs directories and streams of entries; see addon/squashfs/writer.h for what happens underneath.
#include "packer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "squashfs/entries.h"
#include "squashfs/walk.h"
#include "task.h"
#include "values.h"

namespace {

// What a thread works on. It outlives the JS object while one does.
struct Packing {
	sing_writer_options options{};
	sing_writer *writer = nullptr;
	sing_entries entries{};
	sing_result result{};
	std::atomic<uint64_t> progress{0};
	std::atomic<bool> cancelled{false};
	std::atomic<bool> busy{false};

	~Packing()
	{
		sing_writer_close(writer);
		if (options.fd >= 0)
			close(options.fd);
	}
};

using Shared = std::shared_ptr<Packing>;

bool proceed(void *user, uint64_t bytes)
{
	auto *packing = static_cast<Packing *>(user);
	packing->progress = bytes;
	return !packing->cancelled;
}

// One step of a stream: an entry, or data of the entry before.
struct Step {
	bool is_data = false;
	std::string bytes; // data, or the path
	std::string target;
	std::string link;
	bool is_link = false;
	uint64_t size = 0;
	sing_attributes attributes{};
	std::vector<std::pair<std::string, std::string>> xattrs;
};

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
	options.uid = static_cast<uint32_t>(to_unsigned(object, "uid", UINT32_MAX));
	options.gid = static_cast<uint32_t>(to_unsigned(object, "gid", UINT32_MAX));
	options.clamp = to_bool(object, "clamp");
	options.time = static_cast<uint32_t>(to_unsigned(object, "time", UINT32_MAX));
	return options;
}

std::string read_bytes(const Napi::Value &value)
{
	if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
		throw Napi::TypeError::New(value.Env(), "data: expected a Uint8Array");
	auto array = value.As<Napi::Uint8Array>();
	return std::string(reinterpret_cast<const char *>(array.Data()), array.ByteLength());
}

void read_xattrs(const Napi::Object &object, Step &step)
{
	Napi::Array names = object.GetPropertyNames();
	for (uint32_t i = 0; i < names.Length(); i++) {
		Napi::Value name = names.Get(i);
		step.xattrs.emplace_back(to_text(name, "xattrs"), read_bytes(object.Get(name)));
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
	step.bytes = read_bytes(value);
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

// The writer begins on the first thread that works for it: it writes to the file and starts threads of its own.
bool begin(Packing &packing, sing_failure &failure)
{
	if (packing.writer != nullptr)
		return true;
	packing.writer = sing_writer_open(&packing.options, &failure);
	packing.entries.writer = packing.writer;
	return packing.writer != nullptr;
}

void walk(Packing &packing, const std::string &root, const std::vector<std::string> &excludes, sing_failure &failure)
{
	std::vector<const char *> pointers;
	for (const std::string &exclude : excludes)
		pointers.push_back(exclude.c_str());
	if (begin(packing, failure))
		sing_walk(packing.writer, root.c_str(), pointers.data(), pointers.size(), &failure);
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

class Packer : public Napi::ObjectWrap<Packer> {
public:
	explicit Packer(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Packer>(info), packing_(std::make_shared<Packing>())
	{
		sing_writer_options options = read_options(info[0].As<Napi::Object>());
		packing_->options.fd = -1;
		// a descriptor of our own: the caller may close the other one while a thread still works
		options.fd = fcntl(options.fd, F_DUPFD_CLOEXEC, 0);
		if (options.fd < 0)
			throw failed(info.Env(), errno);
		options.user = packing_.get();
		options.proceed = proceed;
		packing_->options = options;
	}

	static Napi::Function Define(Napi::Env env)
	{
		return DefineClass(env, "Packer",
				   {
					   InstanceMethod("directory", &Packer::Directory),
					   InstanceMethod("push", &Packer::Push),
					   InstanceMethod("finish", &Packer::Finish),
					   InstanceMethod("cancel", &Packer::Cancel),
					   InstanceMethod("progress", &Packer::Progress),
					   InstanceMethod("close", &Packer::Close),
				   });
	}

	Napi::Value Directory(const Napi::CallbackInfo &info)
	{
		std::string root = to_text(info[0], "root");
		std::vector<std::string> excludes;
		auto list = info[1].As<Napi::Array>();
		for (uint32_t i = 0; i < list.Length(); i++)
			excludes.push_back(to_text(list.Get(i), "exclude"));
		std::sort(excludes.begin(), excludes.end());
		return Run(info.Env(), [root, excludes](Packing &packing, sing_failure &failure) {
			walk(packing, root, excludes, failure);
		});
	}

	Napi::Value Push(const Napi::CallbackInfo &info)
	{
		auto steps = std::make_shared<std::vector<Step>>();
		auto list = info[0].As<Napi::Array>();
		for (uint32_t i = 0; i < list.Length(); i++)
			steps->push_back(read_step(list.Get(i)));
		return Run(info.Env(), [steps](Packing &packing, sing_failure &failure) { push(packing, *steps, failure); });
	}

	Napi::Value Finish(const Napi::CallbackInfo &info)
	{
		return Run(info.Env(), finish);
	}

	// The writer's own threads end and its memory goes; a running step notices and ends.
	Napi::Value Close(const Napi::CallbackInfo &info)
	{
		if (packing_)
			packing_->cancelled = true;
		packing_.reset();
		return info.Env().Undefined();
	}

	Napi::Value Cancel(const Napi::CallbackInfo &info)
	{
		if (packing_)
			packing_->cancelled = true;
		return info.Env().Undefined();
	}

	Napi::Value Progress(const Napi::CallbackInfo &info)
	{
		return Napi::Number::New(info.Env(), packing_ ? static_cast<double>(packing_->progress) : 0);
	}

private:
	static Napi::Error failed(Napi::Env env, int reason)
	{
		sing_failure failure{};
		sing_fail(&failure, reason, "write", "");
		return to_error(env, failure);
	}

	template <typename Work> Napi::Promise Run(Napi::Env env, Work work)
	{
		if (!packing_ || packing_->busy)
			throw Napi::Error::New(env, "the packer is closed or busy");
		Shared packing = packing_;
		packing->busy = true;
		return Task::Run(
			env,
			[packing, work](sing_failure &failure) {
				work(*packing, failure);
				packing->busy = false; // before the promise settles, so that its continuation may go on
			},
			[packing](Napi::Env result_env) {
				Napi::Object result = Napi::Object::New(result_env);
				result.Set("size", static_cast<double>(packing->result.size));
				result.Set("entries", static_cast<double>(packing->result.entries));
				result.Set("bytes", static_cast<double>(packing->result.bytes));
				return result;
			});
	}

	Shared packing_;
};

} // namespace

Napi::Function packer_class(Napi::Env env)
{
	return Packer::Define(env);
}
