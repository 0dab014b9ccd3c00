// Everything that an image holds as columns of values, and stretches of its files.
#ifndef SING_SURVEY_BINDING_H
#define SING_SURVEY_BINDING_H

#include <napi.h>

#include "reading.h"

// A promise of the columns: see `Survey` in src/native/survey.ts.
Napi::Promise survey(Napi::Env env, const Shared &reading);

// At once, because who reads a file in many small stretches would wait for threads most of the time. At most `length` bytes, fewer
// at the end of the file.
Napi::Value slice(Napi::Env env, const Shared &reading, uint64_t place, uint64_t offset, uint64_t length);

// A function that tells whether a file of the host has capabilities.
Napi::Function capability_asker(Napi::Env env);

#endif
