// Secrets of this process, and how they go to another one.
#ifndef SING_SECRET_H
#define SING_SECRET_H

#include <napi.h>

Napi::Function process_hider(Napi::Env env);
Napi::Function secret_keeper(Napi::Env env);

#endif
