/** References to images by their first word. Pure, and loaded by every start of a container. */

/** Of sources with two slashes, for who mistyped one. */
export const schemeWords: readonly string[] = ['docker', 'oras', 'http', 'https']

const schemes = /^(docker|docker-daemon|docker-archive|oci|oci-archive|oras|library|shub|https?|ipfs):/

/** The word before the colon of a reference; undefined for a path. */
export function schemeOf(text: string): string | undefined {
  return schemes.exec(text)?.[1]
}
