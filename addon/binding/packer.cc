// Packs directories and streams of entries; see addon/squashfs/writer.h for what happens underneath.
#include "packer.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "packing.h"
#include "squashfs/walk.h"
#include "task.h"
#include "values.h"

namespace {

using Shared = std::shared_ptr<Packing>;

void walk(Packing &packing, const std::string &root, const std::vector<std::string> &excludes, sing_failure &failure)
{
	std::vector<const char *> pointers;
	for (const std::string &exclude : excludes)
		pointers.push_back(exclude.c_str());
	if (begin(packing, failure))
		sing_walk(packing.writer, root.c_str(), pointers.data(), pointers.size(), &failure);
}

class Packer : public Napi::ObjectWrap<Packer> {
public:
	explicit Packer(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Packer>(info), packing_(std::make_shared<Packing>())
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
		return Run(info.Env(), [root, excludes](Packing &packing, sing_failure &failure) {
			walk(packing, root, excludes, failure);
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
