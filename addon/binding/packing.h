// An image that is being written, and what JS gives to it: shared by the packers.
#ifndef SING_PACKING_H
#define SING_PACKING_H

#include <napi.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "squashfs/encrypted.h"
#include "squashfs/entries.h"
#include "squashfs/writer.h"

// What an image is encrypted with; wiped when that is done.
struct Encryption {
	sing_encryption with{};
	std::string name;
	std::string configuration;

	Encryption() = default;
	Encryption(const Encryption &) = delete;
	Encryption &operator=(const Encryption &) = delete;
	~Encryption();
};

// What a thread works on. It outlives the JS object while one does.
struct Packing {
	sing_writer_options options{};
	Encryption encryption;
	sing_writer *writer = nullptr;
	sing_entries entries{};
	sing_result result{};
	std::atomic<uint64_t> progress{0};
	std::atomic<bool> cancelled{false};
	std::atomic<bool> busy{false};

	Packing() = default;
	Packing(const Packing &) = delete;
	Packing &operator=(const Packing &) = delete;
	virtual ~Packing();
};

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

// Take the options of a new image; its file gets a descriptor of our own. Throws when that is impossible.
void set_up(Packing &packing, const Napi::Object &options);

std::shared_ptr<std::vector<Step>> read_steps(const Napi::Value &list);

// The writer begins on the first thread that works for it: it writes to the file and starts threads of its own.
bool begin(Packing &packing, sing_failure &failure);

void push(Packing &packing, const std::vector<Step> &steps, sing_failure &failure);
void finish(Packing &packing, sing_failure &failure);

// Throws when a thread works already, and notes that one does from now on.
void occupy(Packing *packing, Napi::Env env);

Napi::Object to_result(Napi::Env env, const Packing &packing);

#endif
