// The native addon: what src/native/addon.ts gets when it loads sing.node.
#include <napi.h>

#include "export.h"
#include "image.h"
#include "layers.h"
#include "mount.h"
#include "packer.h"
#include "process.h"
#include "secret.h"
#include "survey.h"

#ifndef SING_LIBSQUASHFS
#define SING_LIBSQUASHFS "1"
#endif

static Napi::Object initialize(Napi::Env env, Napi::Object exports)
{
	exports.Set("Packer", packer_class(env));
	exports.Set("LayerPacker", layer_packer_class(env));
	exports.Set("Image", image_class(env));
	exports.Set("Export", export_class(env));
	exports.Set("replaceProcess", process_replacer(env));
	exports.Set("hideProcess", process_hider(env));
	exports.Set("keepSecret", secret_keeper(env));
	exports.Set("mount", mounter(env));
	exports.Set("unmount", unmounter(env));
	exports.Set("copyAttribute", attribute_copier(env));
	exports.Set("lockRange", range_locker(env));
	exports.Set("lockFile", file_locker(env));
	exports.Set("guardSecrets", secret_guard(env));
	exports.Set("noteOwner", owner_noter(env));
	exports.Set("makePipe", pipe_maker(env));
	exports.Set("capable", capability_asker(env));
	exports.Set("libsquashfs", SING_LIBSQUASHFS);
	return exports;
}

NODE_API_MODULE(sing, initialize)
