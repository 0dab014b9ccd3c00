/** Whether a script needs bash where a plain `sh` would stumble; the peers run environment scripts in a bash-like shell. */

/** Where a command may begin: at the start of a line, behind a separator, behind `if`, `then` and so on. */
const start = String.raw`(?:^|[;&|({!]|\b(?:if|elif|while|until|then|do|else)\b)[ \t]*`

const signs: readonly RegExp[] = [
  new RegExp(`${start}(?:source|declare|typeset|shopt|let|mapfile|readarray|pushd|popd|function)[ \\t]`, 'm'),
  new RegExp(`${start}\\[\\[[ \\t]`, 'm'),
  new RegExp(`${start}\\(\\(`, 'm'),
  // Whoever sources another file (a module's setup, conda) seldom knows that a plain shell does it.
  new RegExp(`${start}\\.[ \\t]+(?!["']?/(?:\\.singularity\\.d|scif)/)`, 'm'),
  // Arrays and appending: `a=(`, `a+=`, `${a[0]}`.
  /\w(?:\+=|=\()/,
  // Expansions beyond POSIX: indirect, element, replacement, case, substring, transformation.
  /\$\{(?:!|[#]?\w+\[|\w+(?:\/|\^|,|:[ ]*[\d$(]|:[ ]+-|@))/,
  /(?:^|[^<])<<<|[<>]\(|&>|\|&/m,
  /(?:^|[\s=("])\$'/m,
  // `[ a == b ]` is an error in dash. No second bracket, or a line of brackets would take for ever.
  /\[[ \t][^[\]\n]*[ \t]==[ \t]/,
  /\bexport[ \t]+-[fn]/,
  // What `eval "$(conda shell.bash hook)"` evaluates is for bash; a path of bash says nothing.
  /(?<!\/)\bbash\b|\bBASH_SOURCE\b/,
]

/** True when the script's text has a sign of bash. Comments do not count; plain assignments and exports have none. */
export function usesBash(script: string): boolean {
  const text = script.replace(/(^|[ \t])#.*$/gm, '$1').replace(/(?<!\$)'[^']*'/g, "''")
  return signs.some((sign) => sign.test(text))
}
