/** Whether a question waits for its answer: what draws on the terminal meanwhile leaves it alone. */

let isOpen = false

export const isAsking = (): boolean => isOpen

export function setAsking(open: boolean): void {
  isOpen = open
}
