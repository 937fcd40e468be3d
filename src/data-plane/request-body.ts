// Reads a request body into one Buffer, counting bytes as they come: a declared length is a claim, not a limit.

import { HeldBytes } from '../protocol/held-bytes.ts';
import type { HttpRequest } from './reply.ts';

/** Room for the bodies of all requests of the process together. */
export interface BodyRoom {
  /** Counts bytes that a token wants to be kept; when there is no room for them none are counted. */
  tryHold(tokenId: string, bytes: number): boolean;
  letGo(tokenId: string, bytes: number): void;
}

/** The body, or why it is not read further. */
export type ReadBody = Buffer | 'too_large' | 'no_room';

/**
 * Reads a body of at most `maxBytes` and calls `onRead` once. A client that leaves before its body is whole is answered
 * by nobody, and nothing is kept for it.
 */
export function readBody(
  request: HttpRequest,
  tokenId: string,
  maxBytes: number,
  room: BodyRoom,
  onRead: (body: ReadBody) => void,
): void {
  const declared = Number(request.headers['content-length']);
  if (declared > maxBytes) {
    onRead('too_large');
    return;
  }
  const body = new HeldBytes();
  let held = 0;
  let isRefused = false;
  const refuse = (why: ReadBody): void => {
    isRefused = true;
    request.pause();
    drop();
    onRead(why);
  };
  const drop = (): void => {
    body.clear();
    room.letGo(tokenId, held);
    held = 0;
  };
  request.on('data', (chunk: Buffer) => {
    // What was in flight when reading stopped still arrives here.
    if (isRefused) return;
    const length = body.length + chunk.length;
    if (length > maxBytes) refuse('too_large');
    // A body that is whole is worked on in this very turn, and not counted.
    else if (chunk.length === declared) body.push(chunk);
    else if (!room.tryHold(tokenId, length - held)) refuse('no_room');
    else {
      if (held === 0) request.once('close', drop);
      held = length;
      body.push(chunk);
    }
  });
  request.on('end', () => {
    if (isRefused) return;
    const whole = body.whole();
    drop();
    onRead(whole);
  });
}
