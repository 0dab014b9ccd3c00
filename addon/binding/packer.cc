// Packs directories and streams of entries; see addon/squashfs/writer.h for what happens underneath.
#include "packer.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "packing.h"
#include "squashfs/base.h"
#include "squashfs/walk.h"
#include "task.h"
#include "values.h"

namespace {

struct LayerFile {
	std::string path;
	uint64_t offset = 0;
	uint64_t size = 0;
	int key = -1;
};

// A directory, and what it is.
struct Source {
	std::string root;
	std::vector<std::string> excludes;
	std::vector<LayerFile> layers;
	std::string changes; // above the layers, when the tree stands on some
	bool stacked = false;
	bool repack = false;
	bool keep_marks = false;
	bool named_marks = false;
};

// A packing that takes files from layers as they are.
struct Adopting : Packing {
	sing_base base{};

	~Adopting() override
	{
		// the writer has inodes, but nothing of the layers that it would look at
		sing_base_close(&base);
	}
};

bool open_base(Adopting &packing, const Source &source, sing_failure &failure)
{
	std::vector<sing_layer_file> files;
	for (const LayerFile &layer : source.layers)
		files.push_back({layer.path.c_str(), layer.offset, layer.size, layer.key});
	packing.options.base = &packing.base;
	return sing_base_open(files.data(), files.size(), &packing.options, source.repack, &packing.base, &failure) == 0;
}

void walk(Adopting &packing, const Source &source, sing_failure &failure)
{
	std::vector<const char *> excludes;
	for (const std::string &exclude : source.excludes)
		excludes.push_back(exclude.c_str());
	sing_scan_options options{};
	options.root = source.root.c_str();
	options.excludes = excludes.data();
	options.exclude_count = excludes.size();
	options.marks = source.keep_marks ? SING_MARKS_KEEP : SING_MARKS_PLAIN;
	options.named_marks = source.named_marks;
	if (source.stacked) {
		if (!open_base(packing, source, failure))
			return;
		options.marks = SING_MARKS_APPLY;
		options.base = &packing.base;
		options.directory = source.changes.c_str();
	}
	if (begin(packing, failure))
		sing_walk(packing.writer, &options, &failure);
}

LayerFile read_layer(const Napi::Object &object)
{
	return {to_text(object, "file"), to_unsigned(object, "offset", INT64_MAX), to_unsigned(object, "size", INT64_MAX),
		to_key(object)};
}

void read_base(const Napi::Object &base, Source &source)
{
	auto layers = base.Get("layers").As<Napi::Array>();
	for (uint32_t i = 0; i < layers.Length(); i++)
		source.layers.push_back(read_layer(layers.Get(i).As<Napi::Object>()));
	source.changes = to_text(base, "changes");
	source.stacked = true;
	source.repack = to_bool(base, "repack");
}

Source read_source(const Napi::Object &object)
{
	Source source;
	source.root = to_text(object, "root");
	auto excludes = object.Get("exclude").As<Napi::Array>();
	for (uint32_t i = 0; i < excludes.Length(); i++)
		source.excludes.push_back(to_text(excludes.Get(i), "exclude"));
	std::sort(source.excludes.begin(), source.excludes.end());
	if (object.Get("base").IsObject())
		read_base(object.Get("base").As<Napi::Object>(), source);
	source.keep_marks = to_bool(object, "keepMarks");
	source.named_marks = to_bool(object, "namedMarks");
	return source;
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
		Source source = read_source(info[0].As<Napi::Object>());
		return Run(info.Env(), [source](Adopting &packing, sing_failure &failure) { walk(packing, source, failure); });
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
