// The JS class Image: one squashfs image being read.
#ifndef SING_IMAGE_H
#define SING_IMAGE_H

#include <napi.h>

// The constructor, to be exported.
Napi::Function image_class(Napi::Env env);

#endif
