// See addon/squashfs/survey.h and reader.h for what happens underneath.
#include "survey.h"

#include <linux/limits.h>
#include <sys/xattr.h>

#include <mutex>
#include <string>
#include <vector>

#include "squashfs/survey.h"
#include "task.h"
#include "values.h"

namespace {

// Beyond these an image is made to be a burden: an honest one of this many files would be terabytes.
enum : size_t { most_entries = 16u << 20, most_bytes = 256u << 20 };

constexpr uint32_t capable = 1;
constexpr uint32_t opaque = 2;

struct Columns {
	size_t count = 0;
	std::string paths;   // each ends with a NUL
	std::string targets; // of links, in their order
	std::vector<double> numbers;
};

int add_entry(void *user, const sing_surveyed *entry)
{
	auto *columns = static_cast<Columns *>(user);
	const sing_stat &stat = entry->stat;
	if (++columns->count > most_entries || columns->paths.size() + columns->targets.size() > most_bytes)
		return SING_TOO_LARGE;
	columns->paths.append(entry->path).push_back('\0');
	if (entry->target != nullptr) {
		columns->targets.append(entry->target, entry->target_length);
		columns->targets.push_back('\0');
	}
	const uint32_t marks = (entry->capable ? capable : 0u) | (entry->opaque ? opaque : 0u);
	const double row[] = {
		double(stat.mode), double(stat.uid),    double(stat.gid),   double(stat.mtime),
		double(stat.size), double(stat.number), double(stat.links), double(stat.major),
		double(stat.minor), double(entry->place), double(marks),
	};
	columns->numbers.insert(columns->numbers.end(), std::begin(row), std::end(row));
	return 0;
}

void walk(Reading &reading, Columns &columns, sing_failure &failure)
{
	std::lock_guard<std::mutex> guard(reading.lock);
	std::string path(PATH_MAX * 2, '\0');
	int reason = sing_image_survey(reading.image, add_entry, &columns, path.data(), path.size());
	if (reason != 0)
		sing_fail(&failure, reason, "look at", ("/" + std::string(path.c_str())).c_str());
}

Napi::Value to_object(Napi::Env env, const Columns &columns)
{
	const std::vector<double> &numbers = columns.numbers;
	auto array = Napi::Float64Array::New(env, numbers.size());
	std::copy(numbers.begin(), numbers.end(), array.Data());
	Napi::Object object = Napi::Object::New(env);
	object.Set("paths", columns.paths);
	object.Set("targets", columns.targets);
	object.Set("numbers", array);
	return object;
}

int read_range(Reading &reading, uint64_t place, uint64_t offset, uint64_t length, std::string &content)
{
	sqfs_inode_generic_t *inode = nullptr;
	int reason = reading.data == nullptr ? sing_data_open(reading.image, &reading.data) : 0;
	if (reason == 0)
		reason = sing_image_inode(reading.image, place, &inode);
	if (reason == 0)
		reason = sing_data_range(reading.data, inode, offset, length, add_bytes, &content);
	sqfs_free(inode);
	return reason;
}

/* capable(path): whether a file of the host has file capabilities */
Napi::Value is_capable(const Napi::CallbackInfo &info)
{
	auto bytes = info[0].As<Napi::Buffer<char>>();
	const std::string path(bytes.Data(), bytes.Length());

	return Napi::Boolean::New(info.Env(), lgetxattr(path.c_str(), "security.capability", nullptr, 0) > 0);
}

} // namespace

Napi::Function capability_asker(Napi::Env env)
{
	return Napi::Function::New(env, is_capable, "capable");
}

Napi::Promise survey(Napi::Env env, const Shared &reading)
{
	auto columns = std::make_shared<Columns>();
	return Task::Run(
		env, [reading, columns](sing_failure &failure) { walk(*reading, *columns, failure); },
		[columns](Napi::Env later) { return to_object(later, *columns); });
}

Napi::Value slice(Napi::Env env, const Shared &reading, uint64_t place, uint64_t offset, uint64_t length)
{
	std::lock_guard<std::mutex> guard(reading->lock);
	sing_failure failure{};
	std::string content;
	int reason = read_range(*reading, place, offset, length, content);
	if (reason != 0) {
		sing_fail(&failure, reason, "read", reading->path.c_str());
		throw to_error(env, failure);
	}
	return Napi::Buffer<char>::Copy(env, content.data(), content.size());
}
