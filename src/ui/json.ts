/** An answer for programs. */

/** A value as JSON that people can read, too, with a line end behind it. */
export const toJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
