import { describe, expect, it } from 'vitest'
import { usesBash } from '../../../src/image/bash.ts'

describe('an environment script for any shell', () => {
  it.each([
    'export PATH="$PATH:/opt/bin"',
    '#!/bin/bash\nexport LC_ALL=C',
    '# source nothing [[ here ]]\nexport A=1 # a+=b',
    "export PROMPT='a=(b) [[ c ]]'",
    `export FOO="\${FOO:-"bar baz"}"`,
    `export N="\${A#*/}\${B%%:*}\${#C}\${D:-x}\${E:+y}"`,
    'export N=$((1 + 2))',
    'if [ -n "$X" ] && test -d /opt; then\n  export Y=1\nfi',
    'export SHELL=/bin/bash',
    'export URL="http://host/?a=1&b=2"',
    '. "/scif/apps/foo/scif/env/01-base.sh"',
    'setup() {\n  local a=1\n  export A=$a\n}\nsetup',
    'cat <<EOF\ntext\nEOF',
    'export RESOURCE=/opt/source/bin',
    'data_source=local',
  ])('%j', (script) => expect(usesBash(script)).toBe(false))
})

describe('an environment script for bash', () => {
  it.each([
    'source /etc/profile.d/modules.sh',
    'test -e /x && source /x',
    'if true; then source /x; fi',
    '. /opt/conda/etc/profile.d/conda.sh',
    '. "$HOME/setup"',
    'if [[ -d /opt ]]; then export A=1; fi',
    '(( a > 1 )) && export B=1',
    'FILES=(a b c)',
    'PATH+=:/opt/bin',
    'export A+=x',
    `echo "\${a[0]}"`,
    `echo "\${!name}"`,
    `export A="\${B//x/y}"`,
    `export A="\${B^^}"`,
    `export A="\${B:0:3}"`,
    'while read -r x; do export "$x"; done < <(cat /x)',
    'read -r a <<< "$b"',
    'cmd &> /dev/null',
    "export IFS=$'\\n'",
    'function setup { export A=1; }',
    'declare -A map',
    'export -f setup',
    'if [ "$A" == b ]; then export C=1; fi',
    'eval "$(/opt/conda/bin/conda shell.bash hook)"',
    `D=$(dirname "\${BASH_SOURCE}")`,
  ])('%j', (script) => expect(usesBash(script)).toBe(true))
})

it('looks at any text once only', () => {
  const texts = ['[ ', "$'. ", 'if \t', '${a', '; export ', '# \t', "'{(", 'do [[ x ']
  expect(texts.map((text) => usesBash(text.repeat(300_000)))).toHaveLength(texts.length)
})
