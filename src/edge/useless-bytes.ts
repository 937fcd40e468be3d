// Ends HTTP/2 connections that send much beside their requests. Such frames are answered or dropped below JavaScript, at
// any rate and for ever: WINDOW_UPDATE, padding, and DATA of a stream that was reset because its request was refused.

import type { ServerHttp2Session } from 'node:http2';
import { constants } from 'node:http2';
import type { Socket } from 'node:net';

/** What a connection may be ahead of what is free. */
const MAX_BYTES = 1024 * 1024;
/** Free in every interval: pings, settings, and windows for answers that are being read. */
const FREE_BYTES_PER_SWEEP = 64 * 1024;
/** Free with every stream: its headers, and a window full of a body that is refused while it comes. */
const FREE_BYTES_PER_STREAM = 128 * 1024;
/** No event tells of these frames, so the bytes are looked at from time to time, and more often once they come. */
const SWEEP_MS = 250;
const LOOK_MS = 10;

interface Meter {
  readonly session: ServerHttp2Session;
  readonly socket: Socket;
  seenBytes: number;
  uselessBytes: number;
  /** Streams whose bodies are still coming; whatever comes meanwhile counts as theirs. */
  receiving: number;
  isLookedAt: boolean;
}

/** Watches the sessions of one server, on one timer for all that behave. */
export class UselessBytes {
  readonly #meters = new Set<Meter>();
  #sweeping: NodeJS.Timeout | undefined;

  /** `socket` is the one that the session was fed. */
  watch(session: ServerHttp2Session, socket: Socket): void {
    const meter: Meter = { session, socket, seenBytes: 0, uselessBytes: 0, receiving: 0, isLookedAt: false };
    this.#meters.add(meter);
    this.#sweeping ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    session.on('stream', (stream) => {
      read(meter);
      meter.uselessBytes -= FREE_BYTES_PER_STREAM;
      if (stream.endAfterHeaders) return;
      meter.receiving++;
      let isReceiving = true;
      const stop = (): void => {
        if (!isReceiving) return;
        isReceiving = false;
        read(meter);
        meter.receiving--;
        // Its body was cut off here, and may go on coming as fast as the peer can send.
        if (stream.closed) this.#lookSoon(meter);
      };
      stream.once('end', stop).once('close', stop);
    });
    session.once('close', () => {
      this.#meters.delete(meter);
      if (this.#meters.size > 0) return;
      clearInterval(this.#sweeping);
      this.#sweeping = undefined;
    });
  }

  #sweep(): void {
    for (const meter of this.#meters) {
      read(meter);
      // What is free cannot be saved up for a flood.
      meter.uselessBytes = Math.max(0, meter.uselessBytes - FREE_BYTES_PER_SWEEP);
      this.#judge(meter);
    }
  }

  #judge(meter: Meter): void {
    if (meter.uselessBytes > MAX_BYTES) {
      meter.session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      meter.session.destroy();
    } else if (meter.uselessBytes > 0) this.#lookSoon(meter);
  }

  #lookSoon(meter: Meter): void {
    if (meter.isLookedAt || meter.session.destroyed) return;
    meter.isLookedAt = true;
    setTimeout(() => {
      meter.isLookedAt = false;
      if (meter.session.destroyed) return;
      read(meter);
      this.#judge(meter);
    }, LOOK_MS).unref();
  }
}

function read(meter: Meter): void {
  const { bytesRead } = meter.socket;
  if (meter.receiving === 0) meter.uselessBytes += bytesRead - meter.seenBytes;
  meter.seenBytes = bytesRead;
}
