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

/** A request that can hand over its body without being read as a stream: those of HTTP/1.1 here. */
export interface BodySource {
  /**
   * Has `taker` called once with the body, if that comes in one piece of `bytes`, or told that it does not before the first
   * piece can be read from the stream. Returns false, and calls nothing, where it must be read as a stream from the start.
   */
  takeBody(taker: BodyTaker): boolean;
}

export interface BodyTaker {
  /** The size that the request declares; `NaN` where it declares none. */
  readonly bytes: number;
  onBody(body: Buffer): void;
  onPieces(): void;
}

/**
 * Reads a body of at most `maxBytes` and calls `onRead` once. A client that leaves before its body is whole is answered
 * by nobody, and nothing is kept for it.
 */
export function readBody(
  request: HttpRequest & Partial<BodySource>,
  tokenId: string,
  maxBytes: number,
  room: BodyRoom,
  onRead: (body: ReadBody) => void,
): void {
  const bytes = Number(request.headers['content-length']);
  if (bytes > maxBytes) {
    onRead('too_large');
    return;
  }
  const onPieces = (): void => readPieces(request, tokenId, maxBytes, room, onRead);
  if (!request.takeBody?.({ bytes, onBody: onRead, onPieces })) onPieces();
}

function readPieces(
  request: HttpRequest,
  tokenId: string,
  maxBytes: number,
  room: BodyRoom,
  onRead: (body: ReadBody) => void,
): void {
  const declared = Number(request.headers['content-length']);
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
