/* The list is sorted once; what is looked up in it is found by halves. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "recorded.h"

enum { FIELDS = 5, LAST_ID = 0xfffffffe };

struct line {
	uint64_t inode;
	uint64_t seconds;
	uint64_t nanoseconds;
	size_t order; /* in the text: what was said last holds */
	struct sing_record record;
};

struct sing_recorded {
	size_t count;
	struct line lines[];
};

static bool read_field(const char **at, const char *end, uint64_t *out)
{
	const char *start = *at;

	*out = 0;
	for (; *at < end && **at >= '0' && **at <= '9'; ++*at)
		if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, (uint64_t)(**at - '0'), out))
			return false;
	return *at > start;
}

static bool read_line(const char *at, const char *end, struct line *line)
{
	uint64_t fields[FIELDS];

	for (size_t i = 0; i < FIELDS; i++) {
		if (i > 0 && (at == end || *at++ != ' '))
			return false;
		if (!read_field(&at, end, &fields[i]))
			return false;
	}
	if (at != end || fields[3] > (uint32_t)LAST_ID || fields[4] > (uint32_t)LAST_ID)
		return false;
	*line = (struct line){ .inode = fields[0], .seconds = fields[1], .nanoseconds = fields[2] };
	line->record.uid = (uint32_t)fields[3];
	line->record.gid = (uint32_t)fields[4];
	return true;
}

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_file(const void *left, const void *right)
{
	const struct line *a = left;
	const struct line *b = right;
	int order = compare(a->inode, b->inode);

	if (order == 0)
		order = compare(a->seconds, b->seconds);
	return order != 0 ? order : compare(a->nanoseconds, b->nanoseconds);
}

static int by_file_and_order(const void *left, const void *right)
{
	int order = by_file(left, right);

	return order != 0 ? order : compare(((const struct line *)left)->order, ((const struct line *)right)->order);
}

static size_t count_lines(const char *text, size_t size)
{
	size_t count = 1;

	for (size_t i = 0; i < size; i++)
		count += text[i] == '\n';
	return count;
}

/* Of the lines about a file the last one stays. */
static void forget_older(struct sing_recorded *recorded)
{
	size_t kept = 0;

	for (size_t i = 0; i < recorded->count; i++)
		if (i + 1 == recorded->count || by_file(&recorded->lines[i], &recorded->lines[i + 1]) != 0)
			recorded->lines[kept++] = recorded->lines[i];
	recorded->count = kept;
}

int sing_recorded_read(const char *text, size_t size, struct sing_recorded **out)
{
	struct sing_recorded *recorded = calloc(1, sizeof *recorded + count_lines(text, size) * sizeof *recorded->lines);
	const char *end = text + size;

	if (recorded == NULL)
		return ENOMEM;
	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		struct line *line = &recorded->lines[recorded->count];

		/* one without an end was not written to its end */
		if (stop == NULL)
			break;
		if (read_line(text, stop, line))
			line->order = recorded->count++;
		text = stop + 1;
	}
	qsort(recorded->lines, recorded->count, sizeof *recorded->lines, by_file_and_order);
	forget_older(recorded);
	*out = recorded;
	return 0;
}

void sing_recorded_free(struct sing_recorded *recorded)
{
	free(recorded);
}

bool sing_recorded_find(const struct sing_recorded *recorded, int directory, const char *name, struct sing_record *out)
{
	const unsigned wanted = STATX_INO | STATX_BTIME;
	const struct line *found;
	struct statx status;
	struct line key;

	if (recorded == NULL || recorded->count == 0)
		return false;
	if (statx(directory, name, AT_SYMLINK_NOFOLLOW, wanted, &status) != 0 || (status.stx_mask & wanted) != wanted)
		return false;
	key = (struct line){ .inode = status.stx_ino,
			     .seconds = (uint64_t)status.stx_btime.tv_sec,
			     .nanoseconds = status.stx_btime.tv_nsec };
	found = bsearch(&key, recorded->lines, recorded->count, sizeof key, by_file);
	if (found != NULL)
		*out = found->record;
	return found != NULL;
}
