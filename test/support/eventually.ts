// Waiting on a condition, with a deadline: what tests do instead of sleeping.

import assert from 'node:assert/strict';

/** Resolves with the first result that is neither `undefined` nor `false`; fails after `withinMs`. Looks every `everyMs`. */
export async function eventually<T>(
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 5_000,
  everyMs = 5,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const result = await condition();
    if (result !== undefined && result !== false) return result;
    if (performance.now() > deadline) assert.fail(`not reached within ${withinMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
