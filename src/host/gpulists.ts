/**
 * What drivers of GPUs bring along, by vendor: programs, libraries (`.so` in the name: whatever begins with it) and files. In
 * the form of `nvliblist.conf` and `rocmliblist.conf`, which take their place where a site has them.
 */

export type Vendor = 'nv' | 'rocm'

export const gpuLists: Readonly<Record<Vendor, string>> = {
  nv: `
# Programs
nvidia-smi
nvidia-debugdump
nvidia-persistenced
nvidia-cuda-mps-control
nvidia-cuda-mps-server

# Computing
libcuda.so
libcudadebugger.so
libnvidia-cfg.so
libnvidia-compiler.so
libnvidia-fatbinaryloader.so
libnvidia-gpucomp.so
libnvidia-ml.so
libnvidia-nscq.so
libnvidia-nvvm.so
libnvidia-nvvm70.so
libnvidia-opencl.so
libnvidia-pkcs11.so
libnvidia-pkcs11-openssl3.so
libnvidia-ptxjitcompiler.so
libnvidia-sandboxutils.so
libnvidia-tileiras.so
libOpenCL.so

# Video
libnvcuvid.so
libnvidia-encode.so
libnvidia-fbc.so
libnvidia-ifr.so
libnvidia-opticalflow.so
libvdpau_nvidia.so

# Graphics
libEGL_nvidia.so
libGLESv1_CM_nvidia.so
libGLESv2_nvidia.so
libGLX_nvidia.so
libnvidia-allocator.so
libnvidia-api.so
libnvidia-cbl.so
libnvidia-egl-gbm.so
libnvidia-egl-wayland.so
libnvidia-egl-wayland2.so
libnvidia-egl-xcb.so
libnvidia-egl-xlib.so
libnvidia-eglcore.so
libnvidia-glcore.so
libnvidia-glsi.so
libnvidia-glvkspirv.so
libnvidia-ngx.so
libnvidia-present.so
libnvidia-rtcore.so
libnvidia-tls.so
libnvidia-vksc-core.so
libnvidia-vulkan-producer.so
libnvoptix.so

# Graphics of any vendor
libEGL.so
libGL.so
libGLdispatch.so
libGLESv1_CM.so
libGLESv2.so
libGLX.so
libOpenGL.so

# Windows Subsystem for Linux
libdxcore.so

# Files
/usr/share/glvnd/egl_vendor.d/10_nvidia.json
/usr/share/vulkan/icd.d/nvidia_icd.json
/usr/share/vulkan/icd.d/nvidia_layers.json
/usr/share/vulkan/implicit_layer.d/nvidia_layers.json
/usr/share/egl/egl_external_platform.d/10_nvidia_wayland.json
/usr/share/egl/egl_external_platform.d/15_nvidia_gbm.json
/usr/share/nvidia/nvoptix.bin
`,
  rocm: `
# Programs
amd-smi
rocm-smi
rocminfo

# Computing
libamdcomgr64.so
libamdocl64.so
libcltrace.so
libhc_am.so
libmcwamp.so
libmcwamp_cpu.so
libmcwamp_hsa.so
libCXLActivityLogger.so
librocr_debug_agent64.so

# Of any vendor
libdrm.so
libdrm_amdgpu.so
libnuma.so
libOpenCL.so
libpci.so
`,
}
