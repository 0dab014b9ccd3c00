// An open image as threads work on it, one at a time. It outlives the JS object while one does.
#ifndef SING_READING_H
#define SING_READING_H

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "squashfs/reader.h"

struct Reading {
	std::string path;
	uint64_t offset = 0;
	uint64_t size = 0;
	int key = -1; // of an encrypted image: the descriptor, which stays the caller's
	int fd = -1;
	sing_image *image = nullptr;
	sing_data *data = nullptr; // for stretches of files, once one was asked for
	std::mutex lock;
	std::atomic<uint64_t> progress{0};
	std::atomic<bool> cancelled{false};

	~Reading()
	{
		sing_data_close(data);
		sing_image_close(image);
		if (fd >= 0)
			close(fd);
	}
};

// A visitor of what is in a file, for a std::string that takes it; no bytes are a hole.
inline int add_bytes(void *user, uint64_t, const void *bytes, size_t size)
{
	auto *content = static_cast<std::string *>(user);
	if (bytes == nullptr)
		content->append(size, '\0');
	else
		content->append(static_cast<const char *>(bytes), size);
	return 0;
}

using Shared = std::shared_ptr<Reading>;

#endif
