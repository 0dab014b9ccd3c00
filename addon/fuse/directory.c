/*
 * A directory's listing is runs of up to 256 entries, each behind a header with what they have in common; long listings
 * have an index (behind the inode) of the runs that begin metadata blocks, with the name that each begins with.
 *
 * A place in a listing is the offset of the run's header << 9 | number of the entry, so that going on needs no memory of
 * the walk.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "directory.h"

enum {
	/* the recorded size of a listing counts three bytes that are not there (for "." and "..", it is said) */
	SIZE_SURPLUS = 3,
	RUN_HEADER = 12,
	RUN_ENTRIES = 256,
	ENTRY_HEADER = 8,
	INDEX_HEADER = 12,
	PLACE_BITS = 9,
};

/* A run that the index names: its offset in the listing, and its metadata block in the directory table. */
struct milestone {
	uint32_t at;
	uint32_t block;
	char name[NAME_SIZE + 1];
};

static uint64_t listing_size(const struct inode *inode)
{
	return inode->size > SIZE_SURPLUS ? inode->size - SIZE_SURPLUS : 0;
}

static int read_name(struct image *image, struct cursor *cursor, uint32_t stored, char name[NAME_SIZE + 1])
{
	int error;

	if (stored >= NAME_SIZE)
		return image_damaged(image, "a name of %" PRIu32 " bytes", stored);
	error = cursor_read(cursor, name, stored + 1);
	name[error == 0 ? stored + 1 : 0] = '\0';
	return error;
}

static int read_milestone(struct image *image, struct cursor *cursor, struct milestone *stone)
{
	uint8_t bytes[INDEX_HEADER];
	int error = cursor_read(cursor, bytes, sizeof bytes);

	if (error != 0)
		return error;
	stone->at = get32(bytes);
	stone->block = get32(bytes + 4);
	return read_name(image, cursor, get32(bytes + 8), stone->name);
}

/* Finds the last milestone that is not behind `at` and not behind `name` (NULL: any), if there is one. */
static int find_milestone(struct image *image, const struct inode *inode, uint64_t at, const char *name,
			  struct milestone *found)
{
	CURSOR cursor = { 0 };
	struct milestone stone;
	int error;

	found->at = 0;
	found->block = inode->directory.block;
	if (inode->directory.index_count == 0)
		return 0;
	error = cursor_seek(&cursor, image, inode->rest, image->super.directory_table_start);
	for (unsigned i = 0; error == 0 && i < inode->directory.index_count; i++) {
		error = read_milestone(image, &cursor, &stone);
		if (error != 0 || stone.at > at || (name != NULL && strcmp(stone.name, name) > 0))
			break;
		found->at = stone.at;
		found->block = stone.block;
	}
	return error;
}

/* Places the cursor at a milestone; a metadata block begins at every multiple of its size in the listing. */
static int go_to(struct listing *listing, struct image *image, const struct milestone *stone)
{
	const struct inode *inode = listing->inode;
	struct position at = {
		image->super.directory_table_start + stone->block,
		(stone->at + inode->directory.offset) % METADATA_SIZE,
	};

	listing->read = stone->at;
	listing->entry = 0;
	listing->entries = 0;
	return cursor_seek(&listing->cursor, image, at, image->super.bytes_used);
}

static int read_run(struct listing *listing)
{
	struct image *image = listing->cursor.image;
	uint8_t bytes[RUN_HEADER];
	int error;

	listing->run = listing->read;
	if (listing_size(listing->inode) - listing->read < RUN_HEADER)
		return image_damaged(image, "directory %" PRIu32 " is cut off", listing->inode->number);
	error = cursor_read(&listing->cursor, bytes, sizeof bytes);
	if (error != 0)
		return error;
	if (get32(bytes) >= RUN_ENTRIES)
		return image_damaged(image, "directory %" PRIu32 " claims %" PRIu32 " entries in a run",
				     listing->inode->number, get32(bytes));
	listing->read += RUN_HEADER;
	listing->entry = 0;
	listing->entries = get32(bytes) + 1;
	listing->block = get32(bytes + 4);
	listing->number = get32(bytes + 8);
	return 0;
}

/* Names that would mean something else to the kernel than to the directory. */
static bool is_name(const char *name, size_t length)
{
	return strlen(name) == length && strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static int read_entry(struct listing *listing, struct entry *entry)
{
	struct image *image = listing->cursor.image;
	uint8_t bytes[ENTRY_HEADER];
	uint32_t length;
	int error = cursor_read(&listing->cursor, bytes, sizeof bytes);

	if (error != 0)
		return error;
	error = read_name(image, &listing->cursor, get16(bytes + 6), entry->name);
	if (error != 0)
		return error;
	length = get16(bytes + 6) + 1u;
	listing->read += ENTRY_HEADER + length;
	entry->mode = inode_type_mode(get16(bytes + 4));
	if (listing->read > listing_size(listing->inode) || entry->mode == 0 || !is_name(entry->name, length))
		return image_damaged(image, "directory %" PRIu32 " has a broken entry", listing->inode->number);
	entry->reference = (uint64_t)listing->block << 16 | get16(bytes);
	entry->number = listing->number + (uint32_t)(int16_t)get16(bytes + 2);
	listing->entry++;
	entry->next = listing->run << PLACE_BITS | listing->entry;
	return 0;
}

int directory_next(struct listing *listing, struct entry *entry)
{
	int error;

	if (listing->entry == listing->entries) {
		if (listing->read >= listing_size(listing->inode))
			return 0;
		error = read_run(listing);
		if (error != 0)
			return error;
	}
	error = read_entry(listing, entry);
	return error == 0 ? 1 : error;
}

int directory_seek(struct listing *listing, struct image *image, const struct inode *inode, uint64_t place)
{
	struct milestone stone;
	struct entry passed;
	uint64_t run = place >> PLACE_BITS;
	int error;

	listing->inode = inode;
	listing->read = listing_size(inode);
	if (run >= listing->read)
		return 0;
	error = find_milestone(image, inode, run, NULL, &stone);
	if (error == 0)
		error = go_to(listing, image, &stone);
	if (error == 0 && run > listing->read) {
		error = cursor_skip(&listing->cursor, run - listing->read);
		listing->read = run;
	}
	for (uint64_t i = place % (1 << PLACE_BITS); error == 0 && i > 0; i--) {
		int found = directory_next(listing, &passed);

		if (found <= 0)
			return found;
	}
	return error;
}

/* Entries are sorted by name; only the first letter is relied upon, as the kernel does. */
int directory_find(struct image *image, const struct inode *inode, const char *name, struct entry *entry)
{
	LISTING listing = { .inode = inode };
	struct milestone stone;
	int found;
	int error;

	if (listing_size(inode) == 0)
		return -ENOENT;
	error = find_milestone(image, inode, UINT64_MAX, name, &stone);
	if (error == 0)
		error = go_to(&listing, image, &stone);
	if (error != 0)
		return error;
	while ((found = directory_next(&listing, entry)) > 0) {
		if (strcmp(entry->name, name) == 0)
			return 0;
		if ((unsigned char)entry->name[0] > (unsigned char)name[0])
			break;
	}
	return found < 0 ? found : -ENOENT;
}

void directory_close(struct listing *listing)
{
	cursor_close(&listing->cursor);
}
