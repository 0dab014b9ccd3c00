// Makes layers for JS; see addon/export/export.h for what happens underneath.
#include "export.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "export/export.h"
#include "task.h"
#include "values.h"

namespace {

struct Extra {
	std::string path;
	std::string data;
	uint32_t mode;
	int64_t mtime;
};

Extra read_extra(const Napi::Object &object)
{
	return {to_text(object, "path"), to_text(object, "data"), static_cast<uint32_t>(to_unsigned(object, "mode", 07777)),
		to_signed(object, "mtime")};
}

// What threads work on, one at a time. It outlives the JS object while one does.
struct Exporting {
	std::string path;
	std::vector<Extra> extras;
	std::vector<sing_export_extra> extra_views;
	sing_export_options options{};
	sing_exporter *running = nullptr;
	sing_export_result result{};
	std::mutex lock; // who looks at `running`, and who sets it
	std::atomic<bool> cancelled{false};

	~Exporting() { sing_export_close(running); }

	void cancel()
	{
		std::lock_guard<std::mutex> guard(lock);
		cancelled = true;
		if (running != nullptr)
			sing_export_cancel(running);
	}
};

using Shared = std::shared_ptr<Exporting>;

// The first step opens: files are no business of the thread that JS runs on.
bool begin(Exporting &exporting, sing_failure &failure)
{
	if (exporting.running != nullptr)
		return true;
	sing_exporter *running = nullptr;
	if (sing_export_open(&exporting.options, &running, &failure) != 0)
		return false;
	std::lock_guard<std::mutex> guard(exporting.lock);
	exporting.running = running;
	if (exporting.cancelled)
		sing_export_cancel(running);
	return true;
}

void next(Exporting &exporting, std::string &piece, sing_failure &failure)
{
	const void *bytes = nullptr;
	size_t size = 0;
	if (!begin(exporting, failure) || sing_export_next(exporting.running, &bytes, &size, &failure) != 0)
		return;
	piece.assign(static_cast<const char *>(bytes), size);
	if (size == 0)
		sing_export_describe(exporting.running, &exporting.result);
}

std::string to_digest(const unsigned char (&sum)[SING_SHA256_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	std::string text = "sha256:";
	for (unsigned char byte : sum) {
		text += digits[byte >> 4];
		text += digits[byte & 15];
	}
	return text;
}

// Bytes, or what there is to say at the end.
Napi::Value to_piece(Napi::Env env, const Exporting &exporting, const std::string &piece)
{
	if (!piece.empty())
		return Napi::Buffer<char>::Copy(env, piece.data(), piece.size());
	const sing_export_result &result = exporting.result;
	Napi::Object object = Napi::Object::New(env);
	object.Set("diffId", to_digest(result.sum));
	object.Set("bytes", static_cast<double>(result.size));
	object.Set("entries", static_cast<double>(result.entries));
	object.Set("skipped", static_cast<double>(result.skipped));
	object.Set("firstSkipped", result.first_skipped);
	return object;
}

class Export : public Napi::ObjectWrap<Export> {
public:
	static Napi::Function Define(Napi::Env env)
	{
		return DefineClass(env, "Export",
				   {
					   InstanceMethod("next", &Export::Next),
					   InstanceMethod("progress", &Export::Progress),
					   InstanceMethod("cancel", &Export::Cancel),
					   InstanceMethod("close", &Export::Close),
				   });
	}

	explicit Export(const Napi::CallbackInfo &info)
	    : Napi::ObjectWrap<Export>(info), exporting_(std::make_shared<Exporting>())
	{
		auto object = info[0].As<Napi::Object>();
		sing_export_options &options = exporting_->options;
		exporting_->path = to_text(object, "path");
		options.path = exporting_->path.c_str();
		options.is_directory = to_bool(object, "isDirectory");
		options.offset = to_unsigned(object, "offset", INT64_MAX);
		options.size = to_unsigned(object, "size", INT64_MAX);
		options.key = to_key(object);
		options.whiteouts = to_bool(object, "whiteouts");
		options.kind = static_cast<sing_press_kind>(to_unsigned(object, "kind", SING_PRESS_ZSTD));
		options.level = static_cast<int>(to_unsigned(object, "level", 22));
		options.workers = static_cast<unsigned>(to_unsigned(object, "workers", 64));
		ReadExtras(object.Get("extras").As<Napi::Array>());
	}

	// The next piece, or the result behind the last one. To be called again when it has resolved.
	Napi::Value Next(const Napi::CallbackInfo &info)
	{
		if (!exporting_)
			throw Napi::Error::New(info.Env(), "the export is closed");
		Shared exporting = exporting_;
		auto piece = std::make_shared<std::string>();
		return Task::Run(
			info.Env(), [exporting, piece](sing_failure &failure) { next(*exporting, *piece, failure); },
			[exporting, piece](Napi::Env env) { return to_piece(env, *exporting, *piece); });
	}

	Napi::Value Progress(const Napi::CallbackInfo &info)
	{
		double progress = 0;
		if (exporting_) {
			std::lock_guard<std::mutex> guard(exporting_->lock);
			if (exporting_->running != nullptr)
				progress = static_cast<double>(sing_export_progress(exporting_->running));
		}
		return Napi::Number::New(info.Env(), progress);
	}

	Napi::Value Cancel(const Napi::CallbackInfo &info)
	{
		if (exporting_)
			exporting_->cancel();
		return info.Env().Undefined();
	}

	// Threads end and memory goes when the step that runs, if there is one, has ended: it notices.
	Napi::Value Close(const Napi::CallbackInfo &info)
	{
		if (exporting_)
			exporting_->cancel();
		exporting_.reset();
		return info.Env().Undefined();
	}

private:
	void ReadExtras(const Napi::Array &list)
	{
		for (uint32_t i = 0; i < list.Length(); i++)
			exporting_->extras.push_back(read_extra(list.Get(i).As<Napi::Object>()));
		for (const Extra &extra : exporting_->extras)
			exporting_->extra_views.push_back(
				{extra.path.c_str(), extra.mode, extra.mtime, extra.data.data(), extra.data.size()});
		exporting_->options.extras = exporting_->extra_views.data();
		exporting_->options.extra_count = exporting_->extra_views.size();
	}

	Shared exporting_;
};

} // namespace

Napi::Function export_class(Napi::Env env)
{
	return Export::Define(env);
}
