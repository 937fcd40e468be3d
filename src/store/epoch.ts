// Epochs tell a restore from a write: a write raises an account's by one, a restore to the next of these steps.

/** More than is written between two restores; if it is not, a write is taken for one, and a config file read once too often. */
const STEP = 1_000_000;

/** One that no gateway has seen, where any has seen `known` at most. */
export function epochOfRestore(known: number): number {
  return (Math.floor(known / STEP) + 1) * STEP;
}

export function isRestoredSince(known: number, epoch: number): boolean {
  return epoch >= epochOfRestore(known);
}
