// HTTP/2 frame by frame on a socket: what no client library would send, and the frames that come back for it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import type { Sent } from './mcp-http.ts';

/** RFC 9113 §6. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Pairs, because order and repetition are what some tests are about. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[];

export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Literals without indexing and without Huffman coding (RFC 7541 §6.2.2). */
export function headerBlock(pairs: HeaderPairs): Buffer {
  return Buffer.concat(pairs.flatMap(([name, value]) => [Buffer.from([0]), hpackString(name), hpackString(value)]));
}

/** A literal that the peer is to put into its dynamic table, where index 62 then means it (RFC 7541 §6.2.1). */
export function indexedLiteral(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x40]), hpackString(name), hpackString(value)]);
}

function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([hpackInteger(bytes.length), bytes]);
}

/** With a prefix of seven bits (RFC 7541 §5.1). */
function hpackInteger(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const entries = pairs.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id & 0xff]), uint32(value)]));
  return frame(FRAME.settings, 0, 0, Buffer.concat(entries));
}

/** The header list of a request, as a client library makes it. */
export function requestHeaders(url: string, sent: Sent): HeaderPairs {
  const { host, pathname, search } = new URL(url);
  return [
    [':method', sent.method ?? 'POST'],
    [':scheme', 'http'],
    [':authority', host],
    [':path', pathname + search],
    ...(sent.token === undefined ? [] : [['authorization', `Bearer ${sent.token}`] as const]),
    ...(sent.body === undefined ? [] : [['content-type', 'application/json'] as const]),
    ...Object.entries(sent.headers ?? {}),
  ];
}

/** A whole request in as few frames as it takes. */
export function requestFrames(stream: number, url: string, sent: Sent): Buffer {
  const body = Buffer.from(sent.body ?? '');
  const head = headerBlock(requestHeaders(url, sent));
  if (body.length === 0) return frame(FRAME.headers, END_HEADERS | END_STREAM, stream, head);
  return Buffer.concat([frame(FRAME.headers, END_HEADERS, stream, head), frame(FRAME.data, END_STREAM, stream, body)]);
}

export class FramedClient {
  readonly socket: net.Socket;
  /** Received so far, but for the server's settings. */
  readonly frames: Frame[] = [];
  isEnded = false;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: net.Socket) {
    this.socket = socket;
    const end = (): void => {
      this.isEnded = true;
    };
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // A reset is an end like others: the server has closed with frames unread.
    socket
      .on('error', () => undefined)
      .on('end', end)
      .on('close', end);
  }

  /** Connects to the host and port of `url` and sends nothing. */
  static async connect(url: string): Promise<FramedClient> {
    const { hostname, port } = new URL(url);
    const socket = net.connect({ port: Number(port), host: hostname, noDelay: true });
    const client = new FramedClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /**
   * Connects and sends the preface, with settings of ours. The dynamic table for answers is off, or their statuses could
   * not be read here one by one.
   */
  static async open(url: string, ...ours: readonly (readonly [id: number, value: number])[]): Promise<FramedClient> {
    const client = await FramedClient.connect(url);
    client.write(PREFACE, settings([1, 0], ...ours), frame(FRAME.settings, ACK, 0));
    return client;
  }

  write(...parts: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Writes this again and again until the server has ended the connection, up to `bytes`; resolves with what was taken. */
  async flood(part: Buffer, bytes: number): Promise<number> {
    const { socket } = this;
    const taken = () => socket.bytesWritten - socket.writableLength;
    const from = taken();
    for (let sent = 0; sent < bytes && !this.isEnded; sent += part.length) {
      if (!socket.write(part)) await this.#changed();
    }
    return taken() - from;
  }

  #changed(): Promise<void> {
    const { socket } = this;
    const { promise, resolve } = Promise.withResolvers<void>();
    const events = ['drain', 'end', 'close'];
    for (const event of events) socket.on(event, resolve);
    return promise.finally(() => {
      for (const event of events) socket.off(event, resolve);
    });
  }

  of(type: number, stream?: number): readonly Frame[] {
    return this.frames.filter((each) => each.type === type && (stream === undefined || each.stream === stream));
  }

  /** The status of the answer on a stream. */
  status(stream: number): number | undefined {
    const head = this.of(FRAME.headers, stream)[0];
    return head === undefined ? undefined : readStatus(head.payload);
  }

  body(stream: number): Buffer {
    return Buffer.concat(this.of(FRAME.data, stream).map(({ payload }) => payload));
  }

  /** The error code a stream was reset with. */
  resetCode(stream: number): number | undefined {
    return this.of(FRAME.reset, stream)[0]?.payload.readUInt32BE(0);
  }

  /** The error code of the first GOAWAY; a second one only says that nothing else follows. */
  get goawayCode(): number | undefined {
    return this.of(FRAME.goaway)[0]?.payload.readUInt32BE(4);
  }

  /** Whether the server has finished or reset a stream. */
  isDone(stream: number): boolean {
    return this.frames.some(
      (each) =>
        each.stream === stream &&
        (each.type === FRAME.reset || ((each.flags & END_STREAM) !== 0 && each.type <= FRAME.headers)),
    );
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) return;
      const [type, flags] = [this.#rest.readUInt8(3), this.#rest.readUInt8(4)];
      const stream = this.#rest.readUInt32BE(5) & 0x7fffffff;
      const payload = this.#rest.subarray(9, 9 + length);
      if (type !== FRAME.settings) this.frames.push({ type, flags, stream, payload });
      this.#rest = this.#rest.subarray(9 + length);
    }
  }
}

const INDEXED_STATUSES = [200, 204, 206, 304, 400, 404, 500];
/** Of the digits, in their order (RFC 7541 appendix B). */
const HUFFMAN_DIGITS = [
  '00000',
  '00001',
  '00010',
  '011001',
  '011010',
  '011011',
  '011100',
  '011101',
  '011110',
  '011111',
];

/** The status comes first in a header block, behind at most some changes of the table's size. */
function readStatus(block: Buffer): number {
  let at = 0;
  while ((block.readUInt8(at) & 0xe0) === 0x20) at++;
  const first = block.readUInt8(at);
  if (first >= 0x88 && first <= 0x8e) return INDEXED_STATUSES[first - 0x88]!;
  assert.equal(first & 0x0f, 8, `no status: ${block.toString('hex')}`);
  const length = block.readUInt8(at + 1);
  const value = block.subarray(at + 2, at + 2 + (length & 0x7f));
  if ((length & 0x80) === 0) return Number(value.toString());
  const bits = [...value].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let digits = '';
  for (let bit = 0; digits.length < 3; ) {
    const digit = HUFFMAN_DIGITS.findIndex((code) => bits.startsWith(code, bit));
    digits += digit;
    bit += HUFFMAN_DIGITS[digit]!.length;
  }
  return Number(digits);
}
