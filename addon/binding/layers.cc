// Packs the layers of an image; see addon/layers/layers.h for what happens underneath.
#include "layers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "layers/layers.h"
#include "packing.h"
#include "squashfs/way.h"
#include "task.h"
#include "thread.h"
#include "values.h"

namespace {

// The bytes of one layer. JS tells of them while a thread takes them.
struct Source {
	sing_source bytes{};

	Source(int fd, uint64_t offset) { sing_source_open(&bytes, fd, offset); }
	Source(const Source &) = delete;
	Source &operator=(const Source &) = delete;

	~Source()
	{
		close(bytes.fd);
		sing_source_close(&bytes);
	}
};

struct LayerPacking : Packing {
	sing_layers_options settings{};
	std::vector<std::string> captures;
	std::vector<const char *> capture_pointers;
	std::atomic<sing_layers *> layers{nullptr}; // set by the first thread that works
	sing_layer_result layer{};
	bool merged = false;

	~LayerPacking() override { sing_layers_close(layers); }
};

using Shared = std::shared_ptr<LayerPacking>;

sing_layers_limits read_limits(const Napi::Object &object)
{
	sing_layers_limits limits{};
	limits.entries = to_unsigned(object, "entries", UINT32_MAX - 1);
	limits.bytes = to_unsigned(object, "bytes", INT64_MAX);
	limits.ratio = to_unsigned(object, "ratio", UINT32_MAX);
	limits.xattrs = to_unsigned(object, "xattrs", INT64_MAX);
	return limits;
}

bool begin_layers(LayerPacking &packing, sing_failure &failure)
{
	if (packing.layers != nullptr)
		return true;
	if (!begin(packing, failure))
		return false;
	for (const std::string &path : packing.captures)
		packing.capture_pointers.push_back(path.c_str());
	packing.settings.captures = packing.capture_pointers.data();
	packing.settings.capture_count = packing.capture_pointers.size();
	packing.layers = sing_layers_open(packing.writer, &packing.settings);
	if (packing.layers == nullptr)
		sing_fail(&failure, ENOMEM, "write", "");
	return packing.layers != nullptr;
}

sing_digest_kind to_digest_kind(const Napi::Object &object, const char *name)
{
	return static_cast<sing_digest_kind>(to_unsigned(object, name, SING_DIGEST_SHA512));
}

void merge(LayerPacking &packing, sing_failure &failure)
{
	if (packing.merged || !begin_layers(packing, failure))
		return;
	if (sing_layers_end(packing.layers, &failure) != 0)
		return;
	packing.merged = true;
	packing.entries.on_top = true;
}

Napi::Object to_layer_result(Napi::Env env, const sing_layer_result &layer)
{
	Napi::Object result = Napi::Object::New(env);
	result.Set("entries", static_cast<double>(layer.entries));
	result.Set("bytes", static_cast<double>(layer.bytes));
	result.Set("leftOut", static_cast<double>(layer.left_out));
	result.Set("packed", layer.packed);
	result.Set("plain", layer.plain);
	return result;
}

// The inode of a path in the merged tree; links on the way are followed, one at its end is not.
const sing_inode *find(const LayerPacking &packing, const std::string &path)
{
	sing_way way;
	const char *name;
	size_t length;
	sing_way_begin(&way, sing_writer_root(packing.writer));
	if (sing_way_follow(&way, path.c_str(), &name, &length) != 0)
		return nullptr;
	if (length == 0)
		return sing_way_directory(&way);
	return sing_tree_find(sing_way_directory(&way), name, length);
}

class LayerPacker : public Napi::ObjectWrap<LayerPacker> {
public:
	explicit LayerPacker(const Napi::CallbackInfo &info)
	    : Napi::ObjectWrap<LayerPacker>(info), packing_(std::make_shared<LayerPacking>())
	{
		auto options = info[0].As<Napi::Object>();
		set_up(*packing_, options);
		packing_->settings.limits = read_limits(options);
		packing_->settings.keep_whiteouts = to_bool(options, "keepWhiteouts");
		auto captures = info[1].As<Napi::Array>();
		for (uint32_t i = 0; i < captures.Length(); i++)
			packing_->captures.push_back(to_text(captures.Get(i), "capture"));
	}

	static Napi::Function Define(Napi::Env env)
	{
		return DefineClass(env, "LayerPacker",
				   {
					   InstanceMethod("layer", &LayerPacker::Layer),
					   InstanceMethod("advance", &LayerPacker::Advance),
					   InstanceMethod("complete", &LayerPacker::Complete),
					   InstanceMethod("stop", &LayerPacker::Stop),
					   InstanceMethod("merge", &LayerPacker::Merge),
					   InstanceMethod("lookup", &LayerPacker::Lookup),
					   InstanceMethod("captured", &LayerPacker::Captured),
					   InstanceMethod("push", &LayerPacker::Push),
					   InstanceMethod("finish", &LayerPacker::Finish),
					   InstanceMethod("cancel", &LayerPacker::Cancel),
					   InstanceMethod("progress", &LayerPacker::Progress),
					   InstanceMethod("close", &LayerPacker::Close),
				   });
	}

	// { fd, offset, packed, plain }: the bytes are told of by advance() and complete().
	Napi::Value Layer(const Napi::CallbackInfo &info)
	{
		auto options = info[0].As<Napi::Object>();
		int given = static_cast<int>(to_unsigned(options, "fd", INT32_MAX));
		uint64_t offset = to_unsigned(options, "offset", INT64_MAX);
		sing_digest_kind packed = to_digest_kind(options, "packed");
		sing_digest_kind plain = to_digest_kind(options, "plain");
		if (packing_ && packing_->merged)
			throw Napi::Error::New(info.Env(), "the layers are merged already");
		occupy(packing_.get(), info.Env());
		// a descriptor of our own, like that of the image
		int fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
		if (fd < 0) {
			sing_failure failure{};
			sing_fail(&failure, errno, "read", "");
			packing_->busy = false;
			throw to_error(info.Env(), failure);
		}
		source_ = std::make_shared<Source>(fd, offset);
		Shared packing = packing_;
		std::shared_ptr<Source> source = source_;
		return Thread::Run(
			info.Env(),
			[packing, source, packed, plain](sing_failure &failure) {
				if (begin_layers(*packing, failure))
					sing_layers_apply(packing->layers, &source->bytes, packed, plain, &packing->layer, &failure);
				packing->busy = false;
			},
			[packing](Napi::Env env) { return to_layer_result(env, packing->layer); });
	}

	Napi::Value Advance(const Napi::CallbackInfo &info)
	{
		if (source_)
			sing_source_advance(&source_->bytes, to_size(info[0]));
		return info.Env().Undefined();
	}

	Napi::Value Complete(const Napi::CallbackInfo &info)
	{
		if (source_)
			sing_source_complete(&source_->bytes, to_size(info[0]));
		return info.Env().Undefined();
	}

	// The rest of the layer does not come.
	Napi::Value Stop(const Napi::CallbackInfo &info)
	{
		if (source_)
			sing_source_stop(&source_->bytes, SING_STOPPED);
		return info.Env().Undefined();
	}

	Napi::Value Merge(const Napi::CallbackInfo &info)
	{
		return Run(info.Env(), merge);
	}

	// [mode, target of a link]; undefined when there is no such path.
	Napi::Value Lookup(const Napi::CallbackInfo &info)
	{
		std::string path = to_text(info[0], "path");
		const sing_inode *inode = IsMerged() ? find(*packing_, path) : nullptr;
		if (inode == nullptr)
			return info.Env().Undefined();
		Napi::Array result = Napi::Array::New(info.Env());
		result.Set(0u, inode->mode);
		if (S_ISLNK(inode->mode))
			result.Set(1u, inode->target);
		return result;
	}

	// [path, mode, data] of each file.
	Napi::Value Captured(const Napi::CallbackInfo &info)
	{
		Napi::Array result = Napi::Array::New(info.Env());
		const sing_captured *captured = IsMerged() ? sing_layers_captured(packing_->layers) : nullptr;
		for (uint32_t i = 0; captured != nullptr; captured = captured->next) {
			if (captured->path == nullptr)
				continue;
			Napi::Array file = Napi::Array::New(info.Env());
			file.Set(0u, captured->path);
			file.Set(1u, captured->inode->mode);
			file.Set(2u, Napi::Buffer<char>::Copy(info.Env(), captured->data, captured->size));
			result.Set(i++, file);
		}
		return result;
	}

	Napi::Value Push(const Napi::CallbackInfo &info)
	{
		auto steps = read_steps(info[0]);
		return Run(info.Env(), [steps](LayerPacking &packing, sing_failure &failure) {
			merge(packing, failure);
			if (failure.reason == 0)
				push(packing, *steps, failure);
		});
	}

	Napi::Value Finish(const Napi::CallbackInfo &info)
	{
		return Run(info.Env(), [](LayerPacking &packing, sing_failure &failure) {
			merge(packing, failure);
			if (failure.reason == 0)
				finish(packing, failure);
		});
	}

	Napi::Value Cancel(const Napi::CallbackInfo &info)
	{
		CancelAll();
		return info.Env().Undefined();
	}

	// Packed bytes of the layer that is read.
	Napi::Value Progress(const Napi::CallbackInfo &info)
	{
		const sing_layers *layers = packing_ ? packing_->layers.load() : nullptr;
		uint64_t position = layers != nullptr ? sing_layers_position(layers) : 0;
		return Napi::Number::New(info.Env(), static_cast<double>(position));
	}

	Napi::Value Close(const Napi::CallbackInfo &info)
	{
		CancelAll();
		source_.reset();
		packing_.reset();
		return info.Env().Undefined();
	}

private:
	static uint64_t to_size(const Napi::Value &value)
	{
		return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value());
	}

	bool IsMerged() const { return packing_ && !packing_->busy && packing_->merged; }

	void CancelAll()
	{
		if (packing_)
			packing_->cancelled = true;
		if (source_)
			sing_source_stop(&source_->bytes, SING_CANCELLED);
	}

	template <typename Work> Napi::Promise Run(Napi::Env env, Work work)
	{
		occupy(packing_.get(), env);
		Shared packing = packing_;
		return Task::Run(
			env,
			[packing, work](sing_failure &failure) {
				work(*packing, failure);
				packing->busy = false;
			},
			[packing](Napi::Env result_env) { return to_result(result_env, *packing); });
	}

	Shared packing_;
	std::shared_ptr<Source> source_;
};

} // namespace

Napi::Function layer_packer_class(Napi::Env env)
{
	return LayerPacker::Define(env);
}
