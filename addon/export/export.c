/* One thread reads files and makes the tar of them; the press hands it on to those who compress, and to who asks. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export.h"
#include "sources.h"
#include "squashfs/queue.h"

struct sing_exporter {
	char *path;
	int fd; /* of a file, else -1 */
	const struct sing_export_extra *extras;
	size_t extra_count;
	struct sing_image *image; /* of a squashfs */
	struct sing_press *press;
	struct sing_members *members;
	struct sing_failure failure; /* of the thread: read when the press has ended */
	_Atomic uint64_t progress;
	pthread_t thread;
	bool started;
};

static int to_press(void *user, const void *bytes, size_t size)
{
	struct sing_exporter *exporter = user;

	atomic_store_explicit(&exporter->progress, exporter->members->bytes, memory_order_relaxed);
	return sing_press_write(exporter->press, bytes, size);
}

static int add_extra(struct sing_members *members, const struct sing_export_extra *extra)
{
	const struct sing_attributes attributes = { .mode = S_IFREG | extra->mode, .mtime = extra->mtime };
	size_t before;
	bool skipped;
	int error;

	if (sing_members_enter(members, extra->path, &before) != 0 ||
	    sing_members_add(members, &attributes, extra->size, NULL, &skipped) != 0)
		return -1;
	error = skipped ? 0 : sing_tar_data(&members->tar, extra->data, extra->size);
	if (error != 0)
		return sing_members_fail(members, error, "pack");
	sing_members_leave(members, before);
	return 0;
}

static int make_tar(struct sing_exporter *exporter)
{
	struct sing_members *members = exporter->members;
	int error = exporter->image != NULL ? sing_export_image(exporter->image, members)
					    : sing_export_directory(exporter->path, members);

	for (size_t i = 0; error == 0 && i < exporter->extra_count; i++)
		error = add_extra(members, &exporter->extras[i]);
	if (error != 0)
		return error;
	error = sing_tar_end(&members->tar);
	return error != 0 ? sing_members_fail(members, error, "pack") : 0;
}

static void *read_files(void *user)
{
	struct sing_exporter *exporter = user;

	make_tar(exporter);
	sing_press_end(exporter->press, exporter->failure.reason);
	return NULL;
}

static int open_image(struct sing_exporter *exporter, const struct sing_export_options *options)
{
	if (options->is_directory)
		return 0;
	exporter->fd = open(options->path, O_RDONLY | O_CLOEXEC);
	if (exporter->fd < 0)
		return errno;
	return sing_image_open(exporter->fd, options->offset, options->size, options->key, &exporter->image);
}

static int start(struct sing_exporter *exporter, const struct sing_export_options *options)
{
	int error;

	exporter->path = strdup(options->path);
	exporter->members = sing_members_create(&exporter->failure);
	if (exporter->path == NULL || exporter->members == NULL)
		return ENOMEM;
	exporter->extras = options->extras;
	exporter->extra_count = options->extra_count;
	exporter->members->whiteouts = options->whiteouts;
	exporter->members->tar.sink = to_press;
	exporter->members->tar.user = exporter;
	error = open_image(exporter, options);
	if (error == 0)
		error = sing_press_open(options->kind, options->level, options->workers, &exporter->press);
	if (error == 0)
		error = sing_thread_start(&exporter->thread, read_files, exporter);
	exporter->started = error == 0;
	return error;
}

int sing_export_open(const struct sing_export_options *options, struct sing_exporter **out, struct sing_failure *failure)
{
	struct sing_exporter *exporter = calloc(1, sizeof *exporter);
	int error = ENOMEM;

	if (exporter != NULL) {
		exporter->fd = -1;
		error = start(exporter, options);
	}
	if (error != 0) {
		sing_export_close(exporter);
		return sing_fail(failure, error, "open", options->path);
	}
	*out = exporter;
	return 0;
}

int sing_export_next(struct sing_exporter *exporter, const void **bytes, size_t *size, struct sing_failure *failure)
{
	int reason = sing_press_take(exporter->press, bytes, size);

	if (reason == 0)
		return 0;
	/* who read has said more, unless the press itself failed */
	if (exporter->failure.reason == reason)
		*failure = exporter->failure;
	return sing_fail(failure, reason, "pack", exporter->path);
}

uint64_t sing_export_progress(const struct sing_exporter *exporter)
{
	return atomic_load_explicit(&exporter->progress, memory_order_relaxed);
}

void sing_export_cancel(struct sing_exporter *exporter)
{
	sing_press_cancel(exporter->press);
}

void sing_export_describe(struct sing_exporter *exporter, struct sing_export_result *result)
{
	const struct sing_members *members = exporter->members;

	sing_press_sum(exporter->press, &result->size, result->sum);
	result->entries = members->entries;
	result->skipped = members->skipped;
	result->first_skipped = members->first_skipped;
}

void sing_export_close(struct sing_exporter *exporter)
{
	if (exporter == NULL)
		return;
	if (exporter->press != NULL)
		sing_press_cancel(exporter->press);
	if (exporter->started)
		pthread_join(exporter->thread, NULL);
	sing_press_close(exporter->press);
	sing_members_destroy(exporter->members);
	sing_image_close(exporter->image);
	if (exporter->fd >= 0)
		close(exporter->fd);
	free(exporter->path);
	free(exporter);
}
