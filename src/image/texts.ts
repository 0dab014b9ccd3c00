/** The shell scripts that every image carries, for any runtime of the family and for none at all. POSIX sh throughout. Pure. */

/** Sources the environment of the image, as a runtime would. */
export const loadEnvironment = `#!/bin/sh
for script in /.singularity.d/env/*.sh; do
    if [ -f "$script" ]; then
        . "$script"
    fi
done

`

/** An action that runs a script of the app, else of the image, else does something else. */
function scriptAction(file: string, otherwise: string): string {
  return `${loadEnvironment}if [ -n "\${SINGULARITY_APPNAME:-}" ]; then
    script="/scif/apps/$SINGULARITY_APPNAME/scif/${file}"
    if [ ! -x "$script" ]; then
        echo "the app $SINGULARITY_APPNAME has no ${file}" >&2
        exit 1
    fi
else
    script=/.singularity.d/${file}
fi
if [ -x "$script" ]; then
    exec "$script" "$@"
fi
${otherwise}`
}

/** Texts of `/.singularity.d/actions`, for chroots and other tools that know nothing of images. */
const actions: Readonly<Record<string, string>> = {
  exec: `${loadEnvironment}exec "$@"
`,
  run: scriptAction('runscript', 'exec /bin/sh "$@"\n'),
  test: scriptAction('test', 'exit 0\n'),
  start: scriptAction('startscript', 'exit 0\n'),
  shell: `${loadEnvironment}if [ -n "\${SINGULARITY_SHELL:-}" ] && [ -x "$SINGULARITY_SHELL" ]; then
    SHELL=$SINGULARITY_SHELL
elif [ -x /bin/bash ]; then
    SHELL=/bin/bash
else
    SHELL=/bin/sh
fi
export SHELL
if [ "$SHELL" = /bin/bash ]; then
    exec /bin/bash --norc "$@"
fi
exec "$SHELL" "$@"
`,
}

const appEnvironment = `#!/bin/sh
# The environment of the app that was asked for with --app.
if [ -n "\${SINGULARITY_APPNAME:-}" ]; then
    if [ ! -d "/scif/apps/$SINGULARITY_APPNAME" ]; then
        echo "there is no app $SINGULARITY_APPNAME in this image" >&2
        exit 1
    fi
    SCIF_APPS=/scif/apps
    SCIF_APPROOT="$SCIF_APPS/$SINGULARITY_APPNAME"
    PATH="$SCIF_APPROOT\${PATH:+:$PATH}"
    if [ -d "$SCIF_APPROOT/bin" ]; then
        PATH="$SCIF_APPROOT/bin:$PATH"
    fi
    if [ -d "$SCIF_APPROOT/lib" ]; then
        LD_LIBRARY_PATH="$SCIF_APPROOT/lib\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        export LD_LIBRARY_PATH
    fi
    export SINGULARITY_APPNAME SCIF_APPS SCIF_APPROOT PATH
    if [ -f "$SCIF_APPROOT/scif/env/01-base.sh" ]; then
        . "$SCIF_APPROOT/scif/env/01-base.sh"
    fi
    if [ -f "$SCIF_APPROOT/scif/env/90-environment.sh" ]; then
        . "$SCIF_APPROOT/scif/env/90-environment.sh"
    fi
fi
`

const lastEnvironment = `#!/bin/sh
# Libraries that a runtime puts into the container, and the prompt of its shells.
LD_LIBRARY_PATH="\${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/.singularity.d/libs"
if [ -z "\${PS1:-}" ]; then
    PS1='Singularity> '
fi
export LD_LIBRARY_PATH PS1
`

/** The names are known to the runtimes, which set them for SINGULARITYENV_PREPEND_PATH and its kin. */
const pathChanges = `#!/bin/sh
# What the caller wants changed about PATH.
if [ -n "\${SING_USER_DEFINED_PREPEND_PATH:-}" ]; then
    PATH="$SING_USER_DEFINED_PREPEND_PATH\${PATH:+:$PATH}"
fi
if [ -n "\${SING_USER_DEFINED_APPEND_PATH:-}" ]; then
    PATH="\${PATH:+$PATH:}$SING_USER_DEFINED_APPEND_PATH"
fi
if [ -n "\${SING_USER_DEFINED_PATH:-}" ]; then
    PATH=$SING_USER_DEFINED_PATH
fi
unset SING_USER_DEFINED_PREPEND_PATH SING_USER_DEFINED_APPEND_PATH SING_USER_DEFINED_PATH
export PATH
`

/** The beginning of `90-environment.sh`; each %environment is added below it. */
export const environmentHeader = '#!/bin/sh\n# The %environment of the definition.\n'

export const noRunscript = `#!/bin/sh

echo "this image has no runscript, run a command of it instead: exec IMAGE COMMAND"
`

/** Files that an image must have, by their path in it, with their mode; existing ones stay as they are. */
export const baseFiles: readonly (readonly [path: string, text: string, mode: number])[] = [
  ...Object.entries(actions).map(([name, text]) => [`/.singularity.d/actions/${name}`, text, 0o755] as const),
  ['/.singularity.d/env/01-base.sh', '#!/bin/sh\n# The environment of the base system begins here.\n', 0o755],
  ['/.singularity.d/env/90-environment.sh', environmentHeader, 0o755],
  ['/.singularity.d/env/95-apps.sh', appEnvironment, 0o755],
  ['/.singularity.d/env/99-base.sh', lastEnvironment, 0o755],
  ['/.singularity.d/env/99-runtimevars.sh', pathChanges, 0o755],
  ['/.singularity.d/runscript', noRunscript, 0o755],
  ['/.singularity.d/startscript', '#!/bin/sh\n', 0o755],
  ['/etc/hosts', '', 0o644],
  ['/etc/resolv.conf', '', 0o644],
]

/** Directories that an image must have, with their mode. */
export const baseDirectories: readonly (readonly [path: string, mode: number])[] = [
  ...['libs', 'actions', 'env'].map((name) => [`/.singularity.d/${name}`, 0o755] as const),
  ...['dev', 'proc', 'root', 'etc', 'sys', 'home'].map((name) => [`/${name}`, 0o755] as const),
  ['/tmp', 0o1777],
  ['/var/tmp', 0o1777],
]

/** Links at the top of an image, by their path, with their target. */
export const baseLinks: readonly (readonly [path: string, target: string])[] = [
  ['/singularity', '.singularity.d/runscript'],
  ['/environment', '.singularity.d/env/90-environment.sh'],
  ...['run', 'exec', 'test', 'shell'].map((name) => [`/.${name}`, `.singularity.d/actions/${name}`] as const),
]
