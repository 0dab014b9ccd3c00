// The JS class Export: the files of an image as a compressed tar.
#ifndef SING_BINDING_EXPORT_H
#define SING_BINDING_EXPORT_H

#include <napi.h>

// The constructor, to be exported.
Napi::Function export_class(Napi::Env env);

#endif
