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

using Shared = std::shared_ptr<Reading>;

#endif
