// Reads a request body into one Buffer, counting bytes as they come: a declared length is a claim, not a limit.

import type { HttpRequest } from './reply.ts';

/**
 * Reads at most `maxBytes`; calls one of the two functions once. A client that leaves before its body is whole is
 * answered by nobody, and nothing is kept for it.
 */
export function readBody(
  request: HttpRequest,
  maxBytes: number,
  onBody: (body: Buffer) => void,
  onTooLarge: () => void,
): void {
  if (Number(request.headers['content-length']) > maxBytes) {
    onTooLarge();
    return;
  }
  let first: Buffer | undefined;
  let rest: Buffer[] | undefined;
  let length = 0;
  request.on('data', (chunk: Buffer) => {
    const before = length;
    length += chunk.length;
    if (length > maxBytes) {
      request.pause();
      // What was in flight when reading stopped still arrives here.
      if (before <= maxBytes) onTooLarge();
    } else if (first === undefined) first = chunk;
    else if (rest === undefined) rest = [first, chunk];
    else rest.push(chunk);
  });
  request.on('end', () => {
    if (length <= maxBytes) onBody(rest === undefined ? (first ?? EMPTY) : Buffer.concat(rest, length));
  });
}

const EMPTY = Buffer.alloc(0);
