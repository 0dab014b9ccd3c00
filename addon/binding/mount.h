// Mounts in the mount namespace of this process, and attributes of files: what the engines have no calls for.
#ifndef SING_BINDING_MOUNT_H
#define SING_BINDING_MOUNT_H

#include <napi.h>

Napi::Function mounter(Napi::Env env);
Napi::Function unmounter(Napi::Env env);
Napi::Function attribute_copier(Napi::Env env);

#endif
