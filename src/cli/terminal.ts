// What is asked of a person, on a terminal alone, and values that come in on stdin instead.

import { createInterface } from 'node:readline/promises';
import type { ReadStream } from 'node:tty';
import { GatewayError } from '../domain/errors.ts';
import { UsageError } from './command-errors.ts';

/** Throws `UsageError` where there is nobody to ask, for a script must say `-y`. Resolves to whether the answer was yes. */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UsageError(`${question} Nobody can be asked here: say -y to do it.`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(?:es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}

/** A secret or a token: typed unseen on a terminal, else all of stdin. A line break at its end is not part of it. */
export async function readValue(prompt: string, stdin: ReadStream = process.stdin): Promise<string> {
  const value = stdin.isTTY ? await readMasked(prompt, stdin) : await readAll(stdin);
  if (value === '') throw new GatewayError('invalid_argument', 'The value is empty: give it on stdin.');
  return value;
}

async function readAll(stdin: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stdin) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

/** Raw, so that the terminal shows nothing; each character is shown as a star. */
async function readMasked(prompt: string, stdin: ReadStream): Promise<string> {
  process.stderr.write(`${prompt}: `);
  stdin.setRawMode(true).setEncoding('utf8').resume();
  let value = '';
  try {
    for await (const text of stdin.iterator({ destroyOnReturn: false })) {
      for (const letter of text as string) {
        if (letter === '\r' || letter === '\n' || letter === '\u0004') return value;
        if (letter === '\u0003') process.exit(130);
        const isErased = letter === '\u007f' || letter === '\b';
        if (isErased && value === '') continue;
        value = isErased ? [...value].slice(0, -1).join('') : value + letter;
        process.stderr.write(isErased ? '\b \b' : '*');
      }
    }
    return value;
  } finally {
    stdin.setRawMode(false).pause();
    process.stderr.write('\n');
  }
}
