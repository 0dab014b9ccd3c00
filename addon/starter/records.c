/* Passwd-like files: lines of fields between colons, in which a record is put in place of others or added. */
#include "perform.h"

#include <stdlib.h>
#include <string.h>

struct text {
	char *bytes;
	size_t length, capacity;
};

struct field {
	const char *start;
	size_t length;
};

static bool append(struct text *text, const char *bytes, size_t length)
{
	if (text->length + length + 1 > text->capacity) {
		size_t capacity = (text->length + length + 1) * 2;
		char *grown = realloc(text->bytes, capacity);

		if (!grown)
			return false;
		text->bytes = grown;
		text->capacity = capacity;
	}
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
	return true;
}

/* The field with this index of a line that ends at `end`; of no length when the line has no such field. */
static struct field field_at(const char *line, const char *end, unsigned long index)
{
	const char *colon;

	for (; index > 0; index--) {
		colon = memchr(line, ':', (size_t)(end - line));
		if (!colon)
			return (struct field){ end, 0 };
		line = colon + 1;
	}
	colon = memchr(line, ':', (size_t)(end - line));
	return (struct field){ line, (size_t)((colon ? colon : end) - line) };
}

/* Whether any field of the line has a value that `same` (index=value:...) lists. */
static bool is_same(const char *line, const char *end, const char *same)
{
	while (*same) {
		char *value;
		struct field field = field_at(line, end, strtoul(same, &value, 10));
		size_t length = strcspn(++value, ":");

		if (field.length > 0 && field.length == length && memcmp(field.start, value, length) == 0)
			return true;
		same = value + length;
		same += *same == ':';
	}
	return false;
}

static bool is_kept(const char *keep, unsigned long index)
{
	while (*keep) {
		char *end;

		if (strtoul(keep, &end, 10) == index)
			return true;
		keep = end + (*end == ':');
	}
	return false;
}

/* The record's line, with the fields that the replaced line (or NULL) is to keep. */
static bool append_record(struct text *text, const struct record_line *record, const char *old, const char *old_end)
{
	const char *end = record->line + strlen(record->line);

	for (unsigned long index = 0;; index++) {
		struct field field = field_at(record->line, end, index);

		if (old && is_kept(record->keep, index)) {
			struct field kept = field_at(old, old_end, index);
			if (kept.length > 0 && !append(text, kept.start, kept.length))
				return false;
			if (kept.length == 0 && !append(text, field.start, field.length))
				return false;
		} else if (!append(text, field.start, field.length)) {
			return false;
		}
		if (field.start + field.length >= end)
			return append(text, "\n", 1);
		if (!append(text, ":", 1))
			return false;
	}
}

/* One record worked into a text of whole lines. The old text is freed. */
static bool merge_record(struct text *text, const struct record_line *record)
{
	struct text result = { 0 };
	bool there = false, well = true;
	const char *end;

	for (const char *line = text->bytes; well && line && *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!is_same(line, end, record->same)) {
			well = append(&result, line, (size_t)(end - line) + 1);
			continue;
		}
		if (!record->replace)
			well = append(&result, line, (size_t)(end - line) + 1);
		else if (!there)
			well = append_record(&result, record, line, end);
		there = true;
	}
	if (well && !there)
		well = append_record(&result, record, NULL, NULL);
	free(text->bytes);
	*text = result;
	return well;
}

char *merge_records(const char *text, const struct op *op)
{
	struct text result = { 0 };
	size_t length = strlen(text);
	bool well = append(&result, text, length);

	if (well && length > 0 && text[length - 1] != '\n')
		well = append(&result, "\n", 1);
	for (unsigned index = 0; well && index < op->line_count; index++)
		well = merge_record(&result, &op->lines[index]);
	if (well)
		return result.bytes;
	free(result.bytes);
	return NULL;
}
