// Reads images for JS; see addon/squashfs/reader.h and extract.h for what happens underneath.
#include "image.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "squashfs/extract.h"
#include "squashfs/stored.h"
#include "reading.h"
#include "survey.h"
#include "task.h"
#include "values.h"

namespace {

// An inode for as long as a function runs.
class Inode {
public:
	Inode() = default;
	Inode(const Inode &) = delete;
	Inode &operator=(const Inode &) = delete;
	~Inode() { sqfs_free(inode_); }
	sqfs_inode_generic_t **out() { return &inode_; }
	const sqfs_inode_generic_t *get() const { return inode_; }
	uint32_t type() const { return inode_->base.mode & 0170000; }

private:
	sqfs_inode_generic_t *inode_ = nullptr;
};

enum : uint32_t { directory_type = 0040000, file_type = 0100000, link_type = 0120000 };

void open_image(Reading &reading, sing_failure &failure)
{
	reading.fd = open(reading.path.c_str(), O_RDONLY | O_CLOEXEC);
	if (reading.fd < 0) {
		sing_fail(&failure, errno, "open", reading.path.c_str());
		return;
	}
	int reason = sing_image_open(reading.fd, reading.offset, reading.size, reading.key, &reading.image);
	if (reason != 0)
		sing_fail(&failure, reason, "open", reading.path.c_str());
}

// Find a path and, when it is there, do something with its inode. False when there is no such path, or a failure.
template <typename Use>
bool with_inode(Reading &reading, const std::string &path, bool follow, const char *action, sing_failure &failure, Use use)
{
	std::lock_guard<std::mutex> guard(reading.lock);
	Inode inode;
	int reason = sing_image_find(reading.image, path.c_str(), follow, inode.out(), nullptr);
	if (reason == SING_NOT_FOUND)
		return false;
	bool found = true;
	if (reason == 0)
		reason = use(inode, found);
	if (reason != 0)
		sing_fail(&failure, reason, action, path.c_str());
	return reason == 0 && found;
}

int add_name(void *user, const char *name, uint64_t)
{
	static_cast<std::vector<std::string> *>(user)->emplace_back(name);
	return 0;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

int add_pair(void *user, const char *name, const void *value, size_t size)
{
	static_cast<Pairs *>(user)->emplace_back(name, std::string(static_cast<const char *>(value), size));
	return 0;
}

int read_file(Reading &reading, const Inode &inode, uint64_t limit, std::string &content)
{
	sing_stat stat;
	int reason = sing_image_stat(reading.image, inode.get(), &stat);
	if (reason != 0)
		return reason;
	if (stat.size > limit)
		return SING_TOO_LARGE;
	sing_data *data = nullptr;
	reason = sing_data_open(reading.image, &data);
	if (reason == 0)
		reason = sing_data_read(data, inode.get(), add_bytes, &content);
	sing_data_close(data);
	return reason;
}

bool proceed(void *user, uint64_t entries)
{
	auto *reading = static_cast<Reading *>(user);
	reading->progress = entries;
	return !reading->cancelled;
}

struct Extraction {
	std::string from;
	std::string to;
	std::vector<std::shared_ptr<Reading>> below; // layers, the topmost first
	sing_extract_options options{};
	sing_extract_result result{};
};

void extract(Reading &reading, Extraction &extraction, sing_failure &failure)
{
	std::lock_guard<std::mutex> guard(reading.lock);
	int to = open(extraction.to.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0) {
		sing_fail(&failure, errno, "open", extraction.to.c_str());
		return;
	}
	std::vector<sing_image *> images{reading.image};
	for (const auto &layer : extraction.below) {
		open_image(*layer, failure);
		images.push_back(layer->image);
	}
	extraction.options.proceed = proceed;
	extraction.options.user = &reading;
	if (failure.reason == 0)
		sing_extract(images.data(), images.size(), extraction.from.c_str(), to, &extraction.options, &extraction.result,
			     &failure);
	close(to);
}

std::shared_ptr<Reading> read_layer(const Napi::Object &object)
{
	auto reading = std::make_shared<Reading>();
	reading->path = to_text(object, "file");
	reading->offset = to_unsigned(object, "offset", INT64_MAX);
	reading->size = to_unsigned(object, "size", INT64_MAX);
	reading->key = to_key(object);
	return reading;
}

void read_below(const Napi::Value &value, Extraction &extraction)
{
	extraction.options.keeping.stacked = value.IsArray();
	if (!value.IsArray())
		return;
	auto layers = value.As<Napi::Array>();
	for (uint32_t i = 0; i < layers.Length(); i++)
		extraction.below.push_back(read_layer(layers.Get(i).As<Napi::Object>()));
}

Napi::Value to_buffer(Napi::Env env, const std::string &bytes)
{
	return Napi::Buffer<char>::Copy(env, bytes.data(), bytes.size());
}

Napi::Object to_object(Napi::Env env, const sing_stat &stat)
{
	Napi::Object object = Napi::Object::New(env);
	object.Set("mode", stat.mode);
	object.Set("uid", stat.uid);
	object.Set("gid", stat.gid);
	object.Set("mtime", stat.mtime);
	object.Set("size", static_cast<double>(stat.size));
	object.Set("inode", stat.number);
	object.Set("links", stat.links);
	object.Set("major", stat.major);
	object.Set("minor", stat.minor);
	return object;
}

class Image : public Napi::ObjectWrap<Image> {
public:
	static Napi::Function Define(Napi::Env env)
	{
		return DefineClass(env, "Image",
				   {
					   InstanceMethod("open", &Image::Open),
					   InstanceMethod("stat", &Image::Stat),
					   InstanceMethod("list", &Image::List),
					   InstanceMethod("read", &Image::Read),
					   InstanceMethod("readlink", &Image::Readlink),
					   InstanceMethod("xattrs", &Image::Xattrs),
					   InstanceMethod("stored", &Image::Stored),
					   InstanceMethod("survey", &Image::Survey),
					   InstanceMethod("slice", &Image::Slice),
					   InstanceMethod("extract", &Image::Extract),
					   InstanceMethod("progress", &Image::Progress),
					   InstanceMethod("cancel", &Image::Cancel),
					   InstanceMethod("close", &Image::Close),
				   });
	}

	explicit Image(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Image>(info), reading_(std::make_shared<Reading>())
	{
		auto options = info[0].As<Napi::Object>();
		reading_->path = to_text(options, "path");
		reading_->offset = to_unsigned(options, "offset", INT64_MAX);
		reading_->size = to_unsigned(options, "size", INT64_MAX);
		reading_->key = to_key(options);
	}

	// Must have succeeded before anything else is called. Resolves with what the superblock says.
	Napi::Value Open(const Napi::CallbackInfo &info)
	{
		Shared reading = Current(info.Env());
		return Task::Run(
			info.Env(), [reading](sing_failure &failure) { open_image(*reading, failure); },
			[reading](Napi::Env env) {
				const sqfs_super_t *super = sing_image_super(reading->image);
				Napi::Object object = Napi::Object::New(env);
				object.Set("compressor", super->compression_id);
				object.Set("blockSize", super->block_size);
				object.Set("entries", super->inode_count);
				object.Set("bytes", static_cast<double>(super->bytes_used));
				object.Set("time", super->modification_time);
				return object;
			});
	}

	Napi::Value Stat(const Napi::CallbackInfo &info)
	{
		bool follow = info[1].ToBoolean();
		return Look<sing_stat>(
			info, follow, "look at",
			[](Reading &reading, const Inode &inode, sing_stat &stat, bool &) {
				return sing_image_stat(reading.image, inode.get(), &stat);
			},
			[](Napi::Env env, const sing_stat &stat) -> Napi::Value { return to_object(env, stat); });
	}

	Napi::Value List(const Napi::CallbackInfo &info)
	{
		using Names = std::vector<std::string>;
		return Look<Names>(
			info, true, "list",
			[](Reading &reading, const Inode &inode, Names &names, bool &found) {
				found = inode.type() == directory_type;
				return found ? sing_image_list(reading.image, inode.get(), add_name, &names) : 0;
			},
			[](Napi::Env env, const Names &names) -> Napi::Value {
				Napi::Array array = Napi::Array::New(env, names.size());
				for (uint32_t i = 0; i < names.size(); i++)
					array.Set(i, names[i]);
				return array;
			});
	}

	Napi::Value Read(const Napi::CallbackInfo &info)
	{
		auto limit = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
		return Look<std::string>(
			info, true, "read",
			[limit](Reading &reading, const Inode &inode, std::string &content, bool &found) {
				found = inode.type() == file_type;
				return found ? read_file(reading, inode, limit, content) : 0;
			},
			to_buffer);
	}

	Napi::Value Readlink(const Napi::CallbackInfo &info)
	{
		return Look<std::string>(
			info, false, "read",
			[](Reading &, const Inode &inode, std::string &target, bool &found) {
				const char *text = nullptr;
				size_t length = 0;
				found = inode.type() == link_type;
				int reason = found ? sing_image_target(inode.get(), &text, &length) : 0;
				if (reason == 0 && found)
					target.assign(text, length);
				return reason;
			},
			[](Napi::Env env, const std::string &target) -> Napi::Value { return Napi::String::New(env, target); });
	}

	Napi::Value Xattrs(const Napi::CallbackInfo &info)
	{
		return Look<Pairs>(
			info, true, "read the attributes of",
			[](Reading &reading, const Inode &inode, Pairs &pairs, bool &) {
				return sing_image_xattrs(reading.image, inode.get(), add_pair, &pairs);
			},
			[](Napi::Env env, const Pairs &pairs) -> Napi::Value {
				Napi::Object object = Napi::Object::New(env);
				for (const auto &[name, value] : pairs)
					object.Set(name, to_buffer(env, value));
				return object;
			});
	}

	// Pairs of offset and size.
	Napi::Value Stored(const Napi::CallbackInfo &info)
	{
		using Pieces = std::vector<sing_piece>;
		return Look<Pieces>(
			info, false, "find the bytes of",
			[](Reading &reading, const Inode &inode, Pieces &pieces, bool &found) {
				size_t count = 0;
				found = inode.type() == file_type;
				pieces.resize(SING_PIECES_MOST);
				int reason = found ? sing_stored(reading.image, inode.get(), pieces.data(), &count) : 0;
				pieces.resize(count);
				return reason;
			},
			[](Napi::Env env, const Pieces &pieces) -> Napi::Value {
				Napi::Array array = Napi::Array::New(env);
				for (const sing_piece &piece : pieces) {
					array.Set(array.Length(), Napi::Number::New(env, static_cast<double>(piece.offset)));
					array.Set(array.Length(), Napi::Number::New(env, static_cast<double>(piece.size)));
				}
				return array;
			});
	}

	Napi::Value Survey(const Napi::CallbackInfo &info) { return survey(info.Env(), Current(info.Env())); }

	Napi::Value Slice(const Napi::CallbackInfo &info)
	{
		auto number = [&info](size_t at) { return static_cast<uint64_t>(info[at].As<Napi::Number>().Int64Value()); };
		return slice(info.Env(), Current(info.Env()), number(0), number(1), number(2));
	}

	Napi::Value Extract(const Napi::CallbackInfo &info)
	{
		Shared reading = Current(info.Env());
		auto options = info[0].As<Napi::Object>();
		auto extraction = std::make_shared<Extraction>();
		extraction->from = to_text(options, "from");
		extraction->to = to_text(options, "to");
		extraction->options.keeping.ownership = to_bool(options, "ownership");
		extraction->options.keeping.notes = to_bool(options, "notes");
		read_below(options.Get("below"), *extraction);
		extraction->options.workers = static_cast<unsigned>(to_unsigned(options, "workers", 1024));
		reading->progress = 0;
		reading->cancelled = false;
		return Task::Run(
			info.Env(),
			[reading, extraction](sing_failure &failure) { extract(*reading, *extraction, failure); },
			[extraction](Napi::Env env) {
				Napi::Object object = Napi::Object::New(env);
				object.Set("entries", static_cast<double>(extraction->result.entries));
				object.Set("skipped", static_cast<double>(extraction->result.skipped));
				return object;
			});
	}

	Napi::Value Progress(const Napi::CallbackInfo &info)
	{
		return Napi::Number::New(info.Env(), reading_ ? static_cast<double>(reading_->progress) : 0);
	}

	Napi::Value Cancel(const Napi::CallbackInfo &info)
	{
		if (reading_)
			reading_->cancelled = true;
		return info.Env().Undefined();
	}

	Napi::Value Close(const Napi::CallbackInfo &info)
	{
		reading_.reset();
		return info.Env().Undefined();
	}

private:
	Shared Current(Napi::Env env)
	{
		if (!reading_)
			throw Napi::Error::New(env, "the image is closed");
		return reading_;
	}

	// Look at one path (the first argument): undefined when there is none, or when `look` says that it is none of the kind.
	template <typename Answer, typename LookAt, typename Convert>
	Napi::Promise Look(const Napi::CallbackInfo &info, bool follow, const char *action, LookAt look, Convert convert)
	{
		struct Answered {
			Answer answer{};
			bool found = false;
		};
		Shared reading = Current(info.Env());
		std::string path = to_text(info[0], "path");
		auto answered = std::make_shared<Answered>();
		return Task::Run(
			info.Env(),
			[=](sing_failure &failure) {
				auto use = [&](const Inode &inode, bool &found) {
					return look(*reading, inode, answered->answer, found);
				};
				answered->found = with_inode(*reading, path, follow, action, failure, use);
			},
			[=](Napi::Env env) -> Napi::Value {
				return answered->found ? convert(env, answered->answer) : env.Undefined();
			});
	}

	Shared reading_;
};

} // namespace

Napi::Function image_class(Napi::Env env)
{
	return Image::Define(env);
}
