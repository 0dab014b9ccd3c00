// The JS class Packer: one image being written.
#ifndef SING_PACKER_H
#define SING_PACKER_H

#include <napi.h>

// The constructor, to be exported.
Napi::Function packer_class(Napi::Env env);

#endif
