// Reads a request body into one Buffer, counting bytes as they come: a declared length is a claim, not a limit.

import type { HttpRequest } from './reply.ts';

export interface BodySink {
  onBody(body: Buffer): void;
  /** The body is larger than allowed; nothing more of it is read. */
  onTooLarge(): void;
  /** The client left before the body was whole. */
  onAborted(): void;
}

/** Reads at most `maxBytes`. Exactly one method of the sink is called, once. */
export function readBody(request: HttpRequest, maxBytes: number, sink: BodySink): void {
  if (Number(request.headers['content-length']) > maxBytes) {
    sink.onTooLarge();
    return;
  }
  let first: Buffer | undefined;
  let rest: Buffer[] | undefined;
  let length = 0;
  let isDone = false;
  request.on('data', (chunk: Buffer) => {
    if (isDone) return;
    length += chunk.length;
    if (length > maxBytes) {
      isDone = true;
      request.pause();
      sink.onTooLarge();
    } else if (first === undefined) first = chunk;
    else if (rest === undefined) rest = [first, chunk];
    else rest.push(chunk);
  });
  request.on('end', () => {
    if (isDone) return;
    isDone = true;
    sink.onBody(rest === undefined ? (first ?? EMPTY) : Buffer.concat(rest, length));
  });
  request.on('close', () => {
    if (isDone) return;
    isDone = true;
    sink.onAborted();
  });
}

const EMPTY = Buffer.alloc(0);
