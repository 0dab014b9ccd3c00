/** What a text holds that should be nobody else's: private keys, logins, tokens. Says which kind and where, never what. Pure. */

export type Secret = {
  readonly kind: 'private-key' | 'credentials' | 'token'
  readonly what: string
  /** Counted from 1. */
  readonly line: number
  /** It takes a passphrase to use it. */
  readonly locked?: true
}

type Sign = { readonly kind: Secret['kind']; readonly what: string; readonly sign: RegExp }

/** Tokens that say themselves what they are. What comes before must not be a letter: they are words of their own. */
const tokens: readonly (readonly [what: string, sign: string])[] = [
  ['access key of AWS', '(?:AKIA|ASIA)[0-9A-Z]{16}'],
  ['token of GitHub', 'gh[pousr]_[A-Za-z0-9]{36}'],
  ['token of GitHub', 'github_pat_[A-Za-z0-9_]{60}'],
  ['token of GitLab', 'gl(?:pat|dt|rt|cbt|ptt)-[A-Za-z0-9_-]{20}'],
  ['token of Slack', 'xox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{12}'],
  ['token of npm', 'npm_[A-Za-z0-9]{36}'],
  ['token of PyPI', 'pypi-AgEI[A-Za-z0-9_-]{50}'],
  ['token of Hugging Face', 'hf_[A-Za-z0-9]{34}'],
  ['token of Docker Hub', 'dckr_(?:pat|oat)_[A-Za-z0-9_-]{27}'],
  ['key of Google', 'AIza[0-9A-Za-z_-]{35}'],
  ['key of OpenAI', 'sk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20}'],
  ['key of Anthropic', 'sk-ant-[a-z]+[0-9]{2}-[A-Za-z0-9_-]{80}'],
  ['key of Stripe', '[rs]k_live_[A-Za-z0-9]{24}'],
  ['key of SendGrid', 'SG\\.[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{43}'],
  ['key of Azure storage', 'AccountKey=[A-Za-z0-9+/]{86}=='],
  ['token of Vault', 'hvs\\.[A-Za-z0-9_-]{90}'],
]

const signs: readonly Sign[] = [
  ...tokens.map(
    ([what, sign]): Sign => ({
      kind: 'token',
      what,
      sign: new RegExp(`(?<![A-Za-z0-9_])${sign}(?![A-Za-z0-9])`),
    }),
  ),
  {
    kind: 'credentials',
    what: 'secret key of AWS',
    sign: /^[ \t]*(?:export[ \t]+)?aws_secret_access_key\s*=\s*["']?[A-Za-z0-9/+]{40}\b/im,
  },
  {
    kind: 'credentials',
    what: 'login in an address',
    sign: /\b(?:https?|ftp|postgres(?:ql)?|mysql|mongodb(?:\+srv)?|amqps?|redis):\/\/[^\s:/@"'<>$%{}]{1,64}:(?!(?:password|passwd|pass|secret|xxx+|\*+)@)[^\s:/@"'<>$%{}]{6,256}@/i,
  },
]

/** By the name of a file: what a line of it has to look like to be a login. */
const logins: readonly (readonly [name: RegExp, what: string, sign: RegExp])[] = [
  [/^[._]netrc$/, 'login', /(?<!\S)password\s+\S/],
  [/^\.pgpass$/, 'login of PostgreSQL', /^[^#\n:]+:[^\n:]*:[^\n:]*:[^\n:]*:[^\n]+/m],
  [/^\.my\.cnf$/, 'login of MySQL', /^[ \t]*password\s*=\s*\S/m],
  [/^\.git-credentials$/, 'login of git', /^https?:\/\/[^\s:@]*:[^\s@]+@/m],
  [
    /^(?:config|auth|\.dockercfg)(?:\.json)?$/,
    'login of a registry',
    /"(?:auth|identitytoken)"\s*:\s*"[^"\s]{4,}"/,
  ],
  [/^\.npmrc$/, 'login of npm', /_(?:authToken|password|auth)\s*=\s*(?!\$\{)\S/],
  [/^\.pypirc$/, 'login of PyPI', /^[ \t]*password\s*[=:]\s*\S/m],
  [/^\.s3cfg$/, 'keys of S3', /^[ \t]*secret_key\s*=\s*\S/m],
  [/^\.condarc$/, 'token of conda', /\/t\/[A-Za-z0-9-]{16,}\//],
  [
    /^(?:config|kubeconfig|.*\.kubeconfig)$/,
    'login of Kubernetes',
    /^[ \t]*(?:client-key-data|token|password):\s*["']?[A-Za-z0-9+/=._-]{16,}/m,
  ],
  [/\.json$/, 'key of a service account of Google', /"private_key"\s*:\s*"-----BEGIN/],
  [
    /^azureProfile\.json$|^accessTokens\.json$|^msal_token_cache\.json$/,
    'login of Azure',
    /"(?:accessToken|refreshToken|secret)"\s*:\s*"[^"]{16,}"/,
  ],
]

const pem =
  /^-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY(?: BLOCK)?-----[ \t]*\r?\n(?:[A-Za-z-]+: .*\r?\n)*\s*([A-Za-z0-9+/=]{16,})/m
/** In base64: `openssh-key-v1`, a zero, a length, and then the cipher; `none` when there is no passphrase. */
const unlockedSsh = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmU'

const lineOf = (text: string, index: number): number => text.slice(0, index).split('\n').length

function privateKey(text: string): Secret | undefined {
  const found = pem.exec(text)
  if (!found) return undefined
  const [whole, kind = '', data = ''] = found
  const isSsh = kind === 'OPENSSH '
  const locked =
    kind.includes('ENCRYPTED') ||
    /^Proc-Type: .*ENCRYPTED/m.test(whole) ||
    (isSsh && !data.startsWith(unlockedSsh))
  const what = isSsh ? 'private key of SSH' : kind === 'PGP ' ? 'private key of PGP' : 'private key'
  return { kind: 'private-key', what, line: lineOf(text, found.index), ...(locked ? { locked: true } : {}) }
}

function login(name: string, text: string): Secret | undefined {
  for (const [isName, what, sign] of logins) {
    const found = isName.test(name) ? sign.exec(text) : undefined
    if (found) return { kind: 'credentials', what, line: lineOf(text, found.index) }
  }
  return undefined
}

/** Everything in a text that should not be there, one of each kind. */
export function secretsIn(name: string, text: string): Secret[] {
  const found = signs.flatMap(({ kind, what, sign }): Secret[] => {
    const match = sign.exec(text)
    return match ? [{ kind, what, line: lineOf(text, match.index) }] : []
  })
  const all = [login(name, text), privateKey(text), ...found].filter((secret) => secret !== undefined)
  return all.filter(({ what }, index) => all.findIndex((other) => other.what === what) === index)
}
