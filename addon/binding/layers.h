// The class LayerPacker of the addon.
#ifndef SING_BINDING_LAYERS_H
#define SING_BINDING_LAYERS_H

#include <napi.h>

// new LayerPacker(options): layer(), advance(), complete(), stop(), merge(), lookup(), captured(), push(), finish(), ...
Napi::Function layer_packer_class(Napi::Env env);

#endif
