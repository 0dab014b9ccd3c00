# The native parts: the Node-API addon and two static programs that lie beside it in build/Release.
# The libraries are linked statically, so that one build runs on any distribution.
{
  'variables': {
    'hardening': ['-fstack-protector-strong', '-fstack-clash-protection', '-fno-strict-aliasing'],
    'warnings': ['-Wall', '-Wextra', '-Wshadow', '-Wswitch-enum'],
    'relro': ['-Wl,-z,relro', '-Wl,-z,now', '-Wl,-z,noexecstack'],
    'squashfs_libraries': [
      '-l:libsquashfs.a', '-l:libzstd.a', '-l:liblz4.a', '-l:liblzma.a', '-l:libz.a', '-l:liblzo2.a',
    ],
  },
  'target_defaults': {
    'defines': ['_GNU_SOURCE', '_FILE_OFFSET_BITS=64'],
    'cflags!': ['-O3', '-Wno-unused-parameter'],
    'cflags': ['-O2', '<@(hardening)', '<@(warnings)', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'],
    'cflags_c': ['-std=c11', '-Wmissing-prototypes'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++20'],
    'cflags_cc': ['-std=c++17'],
    'ldflags!': ['-rdynamic'],
  },
  'targets': [
    {
      'target_name': 'sing',
      'sources': ['<!@(find addon/binding addon/squashfs addon/export addon/layers -name "*.c" -o -name "*.cc" | sort)'],
      'include_dirs': ['addon'],
      'defines': ['NAPI_VERSION=8', 'SING_LIBSQUASHFS="<!(pkg-config --modversion libsquashfs1)"'],
      'cflags': ['-fPIC', '-fvisibility=hidden'],
      'cflags_cc': ['-isystem <(module_root_dir)/node_modules/node-addon-api'],
      'ldflags': ['<@(relro)', '-static-libstdc++', '-static-libgcc', '-Wl,--exclude-libs,ALL', '-Wl,--as-needed'],
      'libraries': ['-l:libarchive.a', '-l:libnettle.a', '<@(squashfs_libraries)'],
    },
    {
      'target_name': 'sing-squashfs',
      'type': 'executable',
      'sources': [
        '<!@(find addon/fuse -name "*.c" | sort)',
        'addon/squashfs/window.c',
        'addon/squashfs/plain.c',
        'addon/squashfs/pieces.c',
        'addon/squashfs/cipher.c',
        'addon/squashfs/seal.c',
        'addon/squashfs/failure.c',
        'addon/squashfs/decompressor.c',
        'addon/squashfs/mark.c',
        'addon/squashfs/record.c',
      ],
      'include_dirs': ['addon'],
      'cflags': ['-fPIE', '<!@(pkg-config --cflags fuse3)'],
      'ldflags': ['<@(relro)', '-static-pie'],
      'libraries': ['-l:libfuse3.a', '-l:libnettle.a', '<@(squashfs_libraries)', '-lpthread', '-ldl'],
    },
    {
      'target_name': 'sing-starter',
      'type': 'executable',
      'sources': ['<!@(find addon/starter -name "*.c" | sort)'],
      'cflags': ['-fPIE'],
      'ldflags': ['<@(relro)', '-static-pie'],
    },
  ],
}
