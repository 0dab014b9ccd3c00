/* One record of the wire form, and the words and numbers that its fields may be. */
#ifndef STARTER_RECORD_H
#define STARTER_RECORD_H

#include "spec.h"

struct record {
	const char *name;
	unsigned count;
	char **fields; /* in argv */
};

/* All of these end the process with a sentence that names the record when the field is not what it must be. */
uint64_t number_field(const struct record *record, unsigned index, int base, uint64_t most);
/* An open descriptor, which no program that we start inherits. */
int descriptor_field(const struct record *record, unsigned index);
bool flag_field(const struct record *record, unsigned index);
const char *path_field(const struct record *record, unsigned index);
/* The position of the field in `words`, a list closed by NULL. */
unsigned word_field(const struct record *record, unsigned index, const char *const words[]);

/* calloc that ends the process when there is no memory. */
void *allocate(size_t count, size_t size);

/* Whether the operation makes the new root. */
bool makes_root(const struct op *op);

/* Whether the record is an operation; if so it is checked and added behind the others. */
bool read_operation(const struct record *record, struct spec *spec);

#endif
