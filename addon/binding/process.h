// Becoming another program with more than the standard descriptors, locks and attributes of files, and pipes.
#ifndef SING_BINDING_PROCESS_H
#define SING_BINDING_PROCESS_H

#include <napi.h>

Napi::Function process_replacer(Napi::Env env);
Napi::Function file_locker(Napi::Env env);
Napi::Function secret_guard(Napi::Env env);
Napi::Function range_locker(Napi::Env env);
Napi::Function owner_noter(Napi::Env env);
Napi::Function pipe_maker(Napi::Env env);

#endif
