// Packs directories and streams of entries; see addon/squashfs/writer.h for what happens underneath.
#include "packer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "packing.h"
#include "squashfs/adopt.h"
#include "squashfs/walk.h"
#include "task.h"
#include "values.h"

namespace {

// What the tree is, when it is an overlay over an image.
struct Base {
	std::string file;
	uint64_t offset = 0;
	uint64_t size = 0;
	std::string changes;
};

// A packing that takes files from that image as they are.
struct Adopting : Packing {
	int image = -1;

	~Adopting() override
	{
		sing_adoption_close(options.base);
		if (image >= 0)
			close(image);
	}
};

// An image that cannot give its files as they are is no failure: they are read through the mount then.
bool can_adopt(Adopting &packing, const Base &base)
{
	packing.image = open(base.file.c_str(), O_RDONLY | O_CLOEXEC);
	return packing.image >= 0 &&
	       sing_adoption_open(packing.image, base.offset, base.size, &packing.options, &packing.options.base) == 0;
}

void walk(Adopting &packing, const std::string &root, const Base &base, const std::vector<std::string> &excludes,
	  sing_failure &failure)
{
	std::vector<const char *> pointers;
	for (const std::string &exclude : excludes)
		pointers.push_back(exclude.c_str());
	const bool adopts = !base.file.empty() && can_adopt(packing, base);
	if (begin(packing, failure))
		sing_walk(packing.writer, root.c_str(), adopts ? base.changes.c_str() : nullptr, pointers.data(),
			  pointers.size(), &failure);
}

Base read_base(const Napi::Value &value)
{
	Base base;
	if (!value.IsObject())
		return base;
	const auto object = value.As<Napi::Object>();
	base.file = to_text(object, "file");
	base.offset = to_unsigned(object, "offset", INT64_MAX);
	base.size = to_unsigned(object, "size", INT64_MAX);
	base.changes = to_text(object, "changes");
	return base;
}

using Shared = std::shared_ptr<Adopting>;

class Packer : public Napi::ObjectWrap<Packer> {
public:
	explicit Packer(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Packer>(info), packing_(std::make_shared<Adopting>())
	{
		set_up(*packing_, info[0].As<Napi::Object>());
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
		Base base = read_base(info[2]);
		return Run(info.Env(), [root, base, excludes](Adopting &packing, sing_failure &failure) {
			walk(packing, root, base, excludes, failure);
		});
	}

	Napi::Value Push(const Napi::CallbackInfo &info)
	{
		auto steps = read_steps(info[0]);
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
	template <typename Work> Napi::Promise Run(Napi::Env env, Work work)
	{
		occupy(packing_.get(), env);
		Shared packing = packing_;
		return Task::Run(
			env,
			[packing, work](sing_failure &failure) {
				work(*packing, failure);
				packing->busy = false; // before the promise settles, so that its continuation may go on
			},
			[packing](Napi::Env result_env) { return to_result(result_env, *packing); });
	}

	Shared packing_;
};

} // namespace

Napi::Function packer_class(Napi::Env env)
{
	return Packer::Define(env);
}
