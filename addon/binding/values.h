// Between JS values and plain ones: checked on the way in, complete on the way out.
#ifndef SING_VALUES_H
#define SING_VALUES_H

#include <napi.h>

#include <cstdint>
#include <string>

#include "squashfs/failure.h"

// A property that is an integer from 0 to `most`. Throws a TypeError with the property's name.
uint64_t to_unsigned(const Napi::Object &object, const char *name, uint64_t most);

// A property that is any safe integer.
int64_t to_signed(const Napi::Object &object, const char *name);

bool to_bool(const Napi::Object &object, const char *name);

// A property that is a string without NUL bytes.
std::string to_text(const Napi::Object &object, const char *name);
std::string to_text(const Napi::Value &value, const char *name);

// A property that is the descriptor of a key (squashfs/plain.h), or absent.
int to_key(const Napi::Object &object);

// The bytes of a Uint8Array.
std::string to_bytes(const Napi::Value &value, const char *name);

// An Error with `action`, `path`, `reason`, and either `errno` or `code`.
Napi::Error to_error(Napi::Env env, const sing_failure &failure);

#endif
