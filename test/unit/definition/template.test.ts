import { describe, expect, it } from 'vitest'
import { parseArgumentFile, parseBuildArguments } from '../../../src/definition/arguments.ts'
import { type ParseOptions, parseDefinition } from '../../../src/definition/parse.ts'

const head = 'Bootstrap: docker\nFrom: alpine\n'

function post(text: string, options: Partial<ParseOptions> = {}): string | undefined {
  const definition = parseDefinition(`${head}${text}`, { name: 'fortune.def', ...options })
  return definition.stages[0]?.sections.post?.text
}

describe('build arguments', () => {
  it('are taken from the command line before the file before the defaults', () => {
    const text = '%arguments\nA=default\nB=default\nC=default\n%post\n{{ A }} {{B}} {{	C }}\n'
    const options = { arguments: { A: 'line' }, fileArguments: { A: 'file', B: 'file' } }
    expect(post(text, options)).toBe('line file default\n')
  })

  it('are filled in everywhere, also in the header and in section lines', () => {
    const { stages, text } = parseDefinition(
      'Bootstrap: {{ AGENT }}\nFrom: x\n%appinstall {{ APP }}\n{{ APP }}\n',
      {
        name: 'd',
        arguments: { AGENT: 'docker', APP: 'tool' },
      },
    )
    expect(stages[0]?.header.bootstrap).toBe('docker')
    expect(stages[0]?.apps[0]).toMatchObject({ name: 'tool', install: { text: 'tool\n' } })
    expect(text).toBe('Bootstrap: docker\nFrom: x\n%appinstall tool\ntool\n')
  })

  it('may hold = and blanks, and are not filled in a second time', () => {
    expect(post('%post\n{{ A }}\n', { arguments: { A: 'a=b {{ B }} $& $1' } })).toBe('a=b {{ B }} $& $1\n')
  })

  it('have defaults that use other arguments', () => {
    expect(post('%arguments\nB={{A}}-{{ C }}\nA=1\nC=2\n%post\n{{ B }}\n', { arguments: { C: '3' } })).toBe(
      '1-3\n',
    )
  })

  it('belong to the stage that declares them', () => {
    const text = `${head}%arguments\nA=1\n%post\n{{ A }}\n${head}%post\n{{ A }}\n`
    expect(() => parseDefinition(text, { name: 'd' })).toThrow('d:10: build argument A is not defined')
  })

  it('that nothing defines are an error naming them', () => {
    expect(() => post('%post\n echo {{ WHO }}\n')).toThrow('fortune.def:4: build argument WHO is not defined')
  })

  it('are left alone in comments and behind a # when nothing defines them', () => {
    const text = '%post\n  # {{ A }} {{ B }}\n echo "#{{ A }}" # {{ B }}\n'
    expect(post(text, { arguments: { A: '1' } })).toBe('  # {{ A }} {{ B }}\n echo "#1" # {{ B }}\n')
  })

  it('leave other double braces alone', () => {
    const text = '%post\n{{.Go}} {{ a-b }} {{ a b }} {{}} {{ "x" }}\n'
    expect(post(text)).toBe(text.slice('%post\n'.length))
  })

  it('that are not used are an error, or a warning', () => {
    const options = { arguments: { GREETNG: 'x' } }
    expect(() => post('%arguments\nGREETING=a\n%post\n{{ GREETING }}', options)).toThrow(
      expect.objectContaining({
        message: 'fortune.def: build argument GREETNG is given but not used',
        hint: expect.stringContaining('did you mean GREETING?'),
      }),
    )
    const warnings: string[] = []
    post('%post\n', { ...options, warnUnused: true, warn: (text) => warnings.push(text) })
    expect(warnings).toEqual(['fortune.def: build argument GREETNG is given but not used'])
  })

  it('may not refer to themselves', () => {
    expect(() => post('%arguments\nA={{ B }}\nB={{ A }}\n%post\n{{ A }}\n')).toThrow('refers to itself')
  })

  it('may not grow without end', () => {
    const doubled = Array.from({ length: 40 }, (_, index) => `A${index + 1}={{ A${index} }}{{ A${index} }}`)
    expect(() => post(`%arguments\nA0=xxxxxxxx\n${doubled.join('\n')}\n%post\n{{ A40 }}\n`)).toThrow('16 MiB')
  })

  it('are declared as NAME=default and nothing else', () => {
    expect(() => post('%arguments\n  # fine\n  what\n')).toThrow(
      'fortune.def:5: expected NAME=default in %arguments',
    )
  })
})

describe('--build-arg', () => {
  it('takes NAME=value, the last one counting, blanks around values dropped', () => {
    expect(parseBuildArguments(['A=1', 'B=a=b c', 'A= 2 '])).toEqual({ A: '2', B: 'a=b c' })
  })

  it('takes several in one flag, and leaves commas in values alone', () => {
    expect(parseBuildArguments(['A=1,B=2', 'C=-Wl,-O1'])).toEqual({ A: '1', B: '2', C: '-Wl,-O1' })
  })

  it('takes the names that objects are born with', () => {
    expect(Object.entries(parseBuildArguments(['__proto__=1', 'constructor=2']))).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
    ])
    expect(() => post('%post\n{{ constructor }}\n')).toThrow('constructor is not defined')
  })

  it.each(['A', '=1', 'a-b=1', ''])('refuses %j', (flag) => {
    expect(() => parseBuildArguments([flag])).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})

describe('a file of build arguments', () => {
  it('has one on a line, with comments and empty lines', () => {
    expect(parseArgumentFile('\ufeff# c\r\n\r\nA = 1\nB="x"\n', 'args')).toEqual({ A: '1', B: '"x"' })
  })

  it('is refused with the line that is none', () => {
    expect(() => parseArgumentFile('A=1\nexport B=2\n', 'args')).toThrow(
      'args:2: expected NAME=value, got export B=2',
    )
  })
})
