/**
 * The script that turns an image's environment and the user's wish into a running command. The container's own shell
 * runs it (`sh -c`), so nothing has to be put into the image; it ends with `exec`. POSIX, no forks on the usual way.
 */

import { defaultPath, type Environment } from './environment.ts'
import type { Verb } from './request.ts'

/** A shell word that stands for exactly this text. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Keep the host's and the user's values aside while the image's scripts run, so that these see only the image. */
const setAside = `for _sing_n in $_sing_host $_sing_set; do
eval "_sing_v_$_sing_n=\\$$_sing_n; unset $_sing_n"
done
unset PS1`

/** The image's values under those of the user, for the time that these are evaluated. */
const showImage = (names: readonly string[]): string => `for _sing_n in ${names.join(' ')}; do
eval "export $_sing_n=\\"\\$_sing_o_$_sing_n\\"; unset _sing_o_$_sing_n"
done`

/** Elements of the default search path that are missing, at the end. */
const completePath = `_sing_complete() {
_sing_i=$IFS; IFS=:
for _sing_d in ${defaultPath.replaceAll(':', ' ')}; do
case ":$PATH:" in *":$_sing_d:"*) ;; *) PATH="\${PATH:+$PATH:}$_sing_d";; esac
done
IFS=$_sing_i; export PATH
}`

/** Functions, because a script that says \`set --\` must not touch the arguments of the command. */
const sourceImage = `_sing_source() { [ -r "$1" ] || _sing_fail "cannot read $1: permission denied"; . "$1"; set +eu; }
_sing_image() {
if [ -d /.singularity.d/env ]; then
for _sing_s in /.singularity.d/env/*.sh; do
[ -f "$_sing_s" ] || continue
case $_sing_s in
*/10-docker*.sh) _sing_source "$_sing_s"; _sing_complete;;
*/90-environment.sh) [ -n "\${PATH:-}" ] || export PATH=${defaultPath}; _sing_source "$_sing_s";;
*/99-base.sh) _sing_source "$_sing_s"; _sing_inject;;
*/99-runtimevars.sh) ;;
*) _sing_source "$_sing_s";;
esac
done
elif [ -f /environment ]; then _sing_source /environment; _sing_complete
fi
[ -n "$_sing_injected" ] || _sing_inject
}`

/**
 * The user's values, on top of the image's. They travel in the environment (`_sing_q_NAME` where the evaluated form
 * differs), never in this text: a command line is visible to everybody. A value that is no shell word, as a password may be,
 * stays what it is; `command` keeps the shell from ending over it.
 */
function injectFunction(evaluate: boolean): string {
  const assign = evaluate
    ? `eval "_sing_t=\\\${_sing_q_$_sing_n-\\$_sing_v_$_sing_n}; unset _sing_q_$_sing_n"
command eval "export $_sing_n=\\"$_sing_t\\"" || eval "export $_sing_n=\\$_sing_v_$_sing_n"`
    : 'eval "export $_sing_n=\\$_sing_v_$_sing_n"'
  return `_sing_inject() { _sing_injected=1
: "\${LD_LIBRARY_PATH:=/.singularity.d/libs}"; export LD_LIBRARY_PATH
for _sing_n in $_sing_set; do ${assign}; done
}`
}

/** A variable of the host fills what the image left open; one that the image emptied goes. */
const restoreHost = `for _sing_n in $_sing_host; do
eval "if [ -z \\"\\\${$_sing_n+x}\\" ]; then export $_sing_n=\\"\\$_sing_v_$_sing_n\\"
elif [ -z \\"\\$$_sing_n\\" ]; then unset $_sing_n; fi; unset _sing_v_$_sing_n"
done
for _sing_n in $_sing_set; do unset "_sing_v_$_sing_n"; done`

function adjustPaths({ path, libraryPath }: Environment, evaluate: boolean): string[] {
  const word = (text: string) => (evaluate ? `"${text}"` : quoted(text.replace(/\\"/g, '"')))
  const changes = [
    ...(path.prepend ? [`PATH=${word(path.prepend)}:$PATH`] : []),
    ...(path.append ? [`PATH=$PATH:${word(path.append)}`] : []),
    ...(path.replace ? [`PATH=${word(path.replace)}`] : []),
    ...(libraryPath.prepend ? [`LD_LIBRARY_PATH=${word(libraryPath.prepend)}:$LD_LIBRARY_PATH`] : []),
    ...(libraryPath.append ? [`LD_LIBRARY_PATH=$LD_LIBRARY_PATH:${word(libraryPath.append)}`] : []),
  ]
  return changes.map((change) => `command eval ${quoted(change)}`)
}

const fail = `_sing_fail() { printf 'FATAL:   %s\\n' "$1" >&2; exit 255; }`

const runExec = `case $1 in
'') _sing_fail 'the name of the command is empty';;
*/*) [ -e "$1" ] || _sing_fail "cannot run $1: no such file or directory"
[ ! -d "$1" ] || _sing_fail "cannot run $1: is a directory"
[ -x "$1" ] || _sing_fail "cannot run $1: permission denied";;
*) _sing_i=$IFS; IFS=:; _sing_f=
for _sing_d in $PATH; do if [ -f "\${_sing_d:-.}/$1" ] && [ -x "\${_sing_d:-.}/$1" ]; then _sing_f=1; break; fi; done
IFS=$_sing_i; [ -n "$_sing_f" ] || _sing_fail "cannot run $1: executable file not found in the image (searched PATH=$PATH)";;
esac`

const runShell = `if [ -n "\${SINGULARITY_SHELL:-}" ]; then
[ -x "$SINGULARITY_SHELL" ] || _sing_fail "cannot run the shell $SINGULARITY_SHELL: not found in the image"
export SHELL="$SINGULARITY_SHELL"; _sing_go "$SINGULARITY_SHELL" "$@"
elif [ -x /bin/bash ]; then export SHELL=/bin/bash; _sing_go /bin/bash --norc "$@"
else export SHELL=/bin/sh; _sing_go /bin/sh "$@"; fi`

const runScript = `if [ -n "\${SINGULARITY_APPNAME:-}" ]; then
_sing_s=/scif/apps/$SINGULARITY_APPNAME/scif/runscript
[ -x "$_sing_s" ] || { echo "No runscript for the app $SINGULARITY_APPNAME in this container" >&2; exit 1; }
_sing_go "$_sing_s" "$@"
elif [ -x /.singularity.d/runscript ]; then _sing_go /.singularity.d/runscript "$@"
elif [ -x /singularity ]; then _sing_go /singularity "$@"
else echo "No runscript found in the container, running /bin/sh" >&2; _sing_go /bin/sh "$@"; fi`

const runTest = `if [ -n "\${SINGULARITY_APPNAME:-}" ]; then
_sing_s=/scif/apps/$SINGULARITY_APPNAME/scif/test
[ -x "$_sing_s" ] || { echo "No test for the app $SINGULARITY_APPNAME in this container" >&2; exit 1; }
_sing_go "$_sing_s" "$@"
elif [ -f /.singularity.d/test ]; then _sing_go /.singularity.d/test "$@"
else echo "No test section in this container" >&2; exit 0; fi`

const startScript = `if [ -n "\${SINGULARITY_APPNAME:-}" ]; then
_sing_s=/scif/apps/$SINGULARITY_APPNAME/scif/startscript
[ -x "$_sing_s" ] || { echo "No startscript for the app $SINGULARITY_APPNAME in this container" >&2; exit 1; }
_sing_go "$_sing_s" "$@"
elif [ -x /.singularity.d/startscript ]; then _sing_go /.singularity.d/startscript "$@"
else echo "No startscript found in the container" >&2; _sing_up; exit 0; fi`

const dispatch: Record<Verb, string> = {
  start: startScript,
  exec: `${runExec}\n_sing_go "$@"`,
  shell: runShell,
  run: runScript,
  test: runTest,
}

/** Our own names must not be seen by the command. */
const go = (last: string): string => `_sing_go() {
unset _sing_n _sing_i _sing_d _sing_s _sing_f _sing_t _sing_host _sing_set _sing_injected
${last}
}`

/** Who starts an instance waits until the script has come to its command. What the image's scripts start must not hear of it. */
const up = `_sing_up() { echo up >&3; exec 3>&-; }`

/** The working directory as a prompt of bash shows it. */
const tildePath = `$(case $PWD in "$HOME") echo "~";; "$HOME"/*) echo "~${'$'}{PWD#"$HOME"}";; *) echo "$PWD";; esac)`

function prompt(verb: Verb, imageName: string): string[] {
  // The prompt tells a person which image this is; bash knows \w, other shells expand commands.
  const name = imageName.replace(/[\\$`!'"]/g, '')
  if (verb !== 'shell') return [`: "\${PS1:=Singularity> }"; export PS1`]
  return [
    `if [ -x /bin/bash ] && [ -z "\${SINGULARITY_SHELL:-}" ]; then`,
    `export PS1=${quoted(`Singularity ${name}:\\w> `)} PROMPT_COMMAND=${quoted(`PS1='Singularity ${name}:\\w> '; unset PROMPT_COMMAND`)}`,
    `else export PS1=${quoted(`Singularity ${name}:${tildePath}> `)}; fi`,
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
    /** The command is that of an instance. */
    readonly kept?: boolean
  },
): string {
  const needsIds = options.evaluate && environment.injected.some(({ value }) => /\$\{?[UG]ID/.test(value))
  const set = environment.injected.map(({ name }) => name)
  return [
    `_sing_host=${quoted(environment.host.join(' '))} _sing_set=${quoted(set.join(' '))} _sing_injected=`,
    ...(needsIds
      ? [`[ -n "\${UID:-}" ] || UID=${options.uid}; [ -n "\${GID:-}" ] || GID=${options.gid}`]
      : []),
    fail,
    ...(options.kept ? [up, go('_sing_up; exec "$@"')] : [go('exec "$@"')]),
    setAside,
    // There for programs that are started without a shell.
    ...(environment.variables.LD_LIBRARY_PATH === undefined || environment.ofImage
      ? []
      : ['unset LD_LIBRARY_PATH']),
    ...(environment.ofImage?.shadowed.length ? [showImage(environment.ofImage.shadowed)] : []),
    completePath,
    injectFunction(options.evaluate),
    sourceImage,
    options.kept ? '_sing_image 3>&-' : '_sing_image',
    restoreHost,
    ...adjustPaths(environment, options.evaluate),
    'export PATH',
    ...prompt(verb, options.imageName),
    dispatch[verb],
  ].join('\n')
}
