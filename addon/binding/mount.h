// Mounts in the mount namespace of this process, which the engines cannot make.
#ifndef SING_BINDING_MOUNT_H
#define SING_BINDING_MOUNT_H

#include <napi.h>

Napi::Function mounter(Napi::Env env);
Napi::Function unmounter(Napi::Env env);

#endif
