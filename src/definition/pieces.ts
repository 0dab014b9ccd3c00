/** Scripts put together from several texts, whose lines still know where in the definition they stand. */

export type Piece = {
  /** Whole lines. */
  readonly text: string
  /** As in `Section`. */
  readonly lines: readonly number[]
}

/** A text that stands in no definition. */
export function ownPiece(text: string): Piece {
  return { text, lines: [] }
}

/** One script of several pieces. */
export function joinPieces(pieces: readonly Piece[]): Piece {
  const lines = pieces.flatMap(({ text, lines: known }) =>
    Array.from({ length: text.split('\n').length - 1 }, (_, index) => known[index] ?? 0),
  )
  return { text: pieces.map(({ text }) => text).join(''), lines }
}
