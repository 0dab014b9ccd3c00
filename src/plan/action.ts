/**
 * The script that turns an image's environment and the user's wish into a running command. The container's own shell
 * runs it (`sh -c`), so nothing has to be put into the image; it ends with `exec`. POSIX, no forks on the usual way.
 */

import { defaultPath, type Environment } from './environment.ts'
import type { Verb } from './request.ts'

/** A shell word that stands for exactly this text. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Keep the host's and the user's values aside while the image's scripts run, so that these see only the image. */
const setAside = `for _n in $_host $_set; do eval "_v_$_n=\\$$_n; unset $_n"; done; unset PS1`

/** Elements of the default search path that are missing, at the end. */
const completePath = `_complete() {
_i=$IFS; IFS=:
for _d in ${defaultPath.replaceAll(':', ' ')}; do
case ":$PATH:" in *":$_d:"*) ;; *) PATH="\${PATH:+$PATH:}$_d";; esac
done
IFS=$_i; export PATH
}`

/** Functions, because a script that says \`set --\` must not touch the arguments of the command. */
const sourceImage = `_source() { . "$1"; set +eu; }
_image() {
if [ -d /.singularity.d/env ]; then
for _s in /.singularity.d/env/*.sh; do
[ -f "$_s" ] || continue
case $_s in
*/10-docker*.sh) _source "$_s"; _complete;;
*/90-environment.sh) [ -n "\${PATH:-}" ] || export PATH=${defaultPath}; _source "$_s";;
*/99-base.sh) _source "$_s"; _inject;;
*/99-runtimevars.sh) ;;
*) _source "$_s";;
esac
done
elif [ -f /environment ]; then _source /environment; _complete
fi
[ -n "$_injected" ] || _inject
}`

/**
 * The user's values, on top of the image's. They travel in the environment (`_q_NAME` where the evaluated form differs), never
 * in this text: a command line is visible to everybody.
 */
function injectFunction(evaluate: boolean): string {
  const assign = evaluate
    ? 'eval "_t=\\${_q_$_n-\\$_v_$_n}; unset _q_$_n"; eval "export $_n=\\"$_t\\""'
    : 'eval "export $_n=\\$_v_$_n"'
  return `_inject() { _injected=1
: "\${LD_LIBRARY_PATH:=/.singularity.d/libs}"; export LD_LIBRARY_PATH
for _n in $_set; do ${assign}; done
}`
}

/** A variable of the host fills what the image left open; one that the image emptied goes. */
const restoreHost = `for _n in $_host; do
eval "if [ -z \\"\\\${$_n+x}\\" ]; then export $_n=\\"\\$_v_$_n\\"; elif [ -z \\"\\$$_n\\" ]; then unset $_n; fi; unset _v_$_n"
done
for _n in $_set; do unset "_v_$_n"; done`

function adjustPath(path: Environment['path'], evaluate: boolean): string[] {
  const word = (text: string) => (evaluate ? `"${text}"` : quoted(text.replace(/\\"/g, '"')))
  return [
    ...(path.prepend ? [`PATH=${word(path.prepend)}:$PATH`] : []),
    ...(path.append ? [`PATH=$PATH:${word(path.append)}`] : []),
    ...(path.replace ? [`PATH=${word(path.replace)}`] : []),
  ]
}

const fail = `_fail() { printf 'FATAL:   %s\\n' "$1" >&2; exit 255; }`

const runExec = `case $1 in
'') _fail 'the name of the command is empty';;
*/*) [ -e "$1" ] || _fail "cannot run $1: no such file or directory"
[ ! -d "$1" ] || _fail "cannot run $1: is a directory"
[ -x "$1" ] || _fail "cannot run $1: permission denied";;
*) _i=$IFS; IFS=:; _f=
for _d in $PATH; do if [ -f "\${_d:-.}/$1" ] && [ -x "\${_d:-.}/$1" ]; then _f=1; break; fi; done
IFS=$_i; [ -n "$_f" ] || _fail "cannot run $1: not found in the image (searched PATH=$PATH)";;
esac`

const runShell = `if [ -n "\${SINGULARITY_SHELL:-}" ]; then
[ -x "$SINGULARITY_SHELL" ] || _fail "cannot run the shell $SINGULARITY_SHELL: not found in the image"
export SHELL="$SINGULARITY_SHELL"; _go "$SINGULARITY_SHELL" "$@"
elif [ -x /bin/bash ]; then export SHELL=/bin/bash; _go /bin/bash --norc "$@"
else export SHELL=/bin/sh; _go /bin/sh "$@"; fi`

const runScript = `if [ -n "\${SINGULARITY_APPNAME:-}" ]; then
_s=/scif/apps/$SINGULARITY_APPNAME/scif/runscript
[ -x "$_s" ] || { echo "No runscript for the app $SINGULARITY_APPNAME in this container" >&2; exit 1; }
_go "$_s" "$@"
elif [ -x /.singularity.d/runscript ]; then _go /.singularity.d/runscript "$@"
elif [ -x /singularity ]; then _go /singularity "$@"
else echo "No runscript found in the container, running /bin/sh" >&2; _go /bin/sh "$@"; fi`

const runTest = `if [ -n "\${SINGULARITY_APPNAME:-}" ]; then
_s=/scif/apps/$SINGULARITY_APPNAME/scif/test
[ -x "$_s" ] || { echo "No test for the app $SINGULARITY_APPNAME in this container" >&2; exit 1; }
_go "$_s" "$@"
elif [ -f /.singularity.d/test ]; then _go /.singularity.d/test "$@"
else echo "No test section in this container" >&2; exit 0; fi`

const dispatch: Record<Verb, string> = {
  exec: `${runExec}\n_go "$@"`,
  shell: runShell,
  run: runScript,
  test: runTest,
}

/** Our own names must not be seen by the command. */
const go = `_go() { unset _n _i _d _s _f _t _host _set _injected; exec "$@"; }`

function prompt(verb: Verb, imageName: string): string[] {
  // The prompt tells a person which image this is; bash knows \w, other shells expand parameters.
  const name = imageName.replace(/[\\$`!'"]/g, '')
  if (verb !== 'shell') return [`: "\${PS1:=Singularity> }"; export PS1`]
  return [
    `if [ -x /bin/bash ] && [ -z "\${SINGULARITY_SHELL:-}" ]; then`,
    `export PS1=${quoted(`Singularity ${name}:\\w> `)} PROMPT_COMMAND=${quoted(`PS1='Singularity ${name}:\\w> '; unset PROMPT_COMMAND`)}`,
    `else export PS1=${quoted(`Singularity ${name}:\${PWD}> `)}; fi`,
  ]
}

/**
 * The script for a launch. Its arguments are the command (exec) or the arguments (run, shell, test).
 * `ids` give UID and GID for values that the user wants evaluated; not every shell knows them.
 */
export function actionScript(
  verb: Verb,
  environment: Environment,
  options: {
    readonly evaluate: boolean
    readonly imageName: string
    readonly uid: number
    readonly gid: number
  },
): string {
  const needsIds = options.evaluate && environment.injected.some(({ value }) => /\$\{?[UG]ID/.test(value))
  return [
    `_host=${quoted(environment.host.join(' '))} _set=${quoted(environment.injected.map(({ name }) => name).join(' '))} _injected=`,
    ...(needsIds
      ? [`[ -n "\${UID:-}" ] || UID=${options.uid}; [ -n "\${GID:-}" ] || GID=${options.gid}`]
      : []),
    fail,
    go,
    setAside,
    completePath,
    injectFunction(options.evaluate),
    sourceImage,
    '_image',
    restoreHost,
    ...adjustPath(environment.path, options.evaluate),
    'export PATH',
    ...prompt(verb, options.imageName),
    dispatch[verb],
  ].join('\n')
}
