// A value as it is typed on a terminal: nothing of it is shown, and what was mistyped can be taken back.

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { ReadStream } from 'node:tty';
import { readValue } from '../../../src/cli/terminal.ts';

/** A keyboard, and whether each key was read raw. */
function createTerminal(): { stdin: ReadStream; modes: boolean[] } {
  const modes: boolean[] = [];
  const stdin = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (isRaw: boolean) => {
      modes.push(isRaw);
      return stdin;
    },
  });
  return { stdin: stdin as unknown as ReadStream, modes };
}

async function type(...keys: readonly string[]): Promise<{ value: string; shown: string; modes: boolean[] }> {
  const { stdin, modes } = createTerminal();
  const write = process.stderr.write;
  let shown = '';
  process.stderr.write = (text) => {
    shown += text;
    return true;
  };
  try {
    const reading = readValue('Value of KEY', stdin);
    for (const key of keys) stdin.push(key);
    return { value: await reading, shown, modes };
  } finally {
    process.stderr.write = write;
  }
}

test('each letter is shown as a star, and the terminal is given back as it was', async () => {
  assert.deepEqual(await type('s', 'ecret', '\r'), {
    value: 'secret',
    shown: 'Value of KEY: ******\n',
    modes: [true, false],
  });
});

test('a letter is taken back whole, and there is nothing to take back before the first', async () => {
  const { value, shown } = await type('\u007f', 'aé😀', '\u007f', '\b', 'b\n', 'rest');
  assert.equal(value, 'ab');
  assert.equal(shown, 'Value of KEY: ***\b \b\b \b*\n');
});

test('an empty value is refused', async () => {
  await assert.rejects(type('\r'), /^GatewayError: The value is empty: give it on stdin\.$/);
});
