// Skips what is valid in long JSON at a fraction of a nanosecond per byte, by json-skip.wat in a window of its own. What it
// does not skip, for whatever reason, is left to the scanner.

import { JSON_SKIP_CODE } from './json-skip-code.ts';

/** What is used of it: TypeScript knows it in browsers only. */
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: object };
};

interface JsonSkip {
  readonly memory: { readonly buffer: ArrayBuffer };
  pastText(at: number, end: number): number;
  pastValues(at: number, end: number, depth: number, floor: number, maxDepth: number): number;
}

const code = new WebAssembly.Module(Buffer.from(JSON_SKIP_CODE, 'base64'));
const { memory, pastText, pastValues } = new WebAssembly.Instance(code).exports as JsonSkip;

/** Where json-skip.wat has what. */
const DEPTH_AT = 128;
const WINDOW_AT = 1024;
/** Copying so few costs little also where only their beginning turns out to be of use. */
const WINDOW_BYTES = 8 * 1024;

/** Fewer bytes are skipped as fast by the scanner itself. */
export const LONG_BYTES = 512;

/** Kinds of the containers open around the value that is being skipped, for all scanners: a skip never yields. */
export const OPEN = new Uint8Array(memory.buffer, 0, DEPTH_AT);
const DEPTH = new Int32Array(memory.buffer, DEPTH_AT, 1);
const WINDOW = new Uint8Array(memory.buffer, WINDOW_AT, WINDOW_BYTES);

/** The depth at which `skipValues` has stopped. */
export function depthReached(): number {
  return DEPTH[0] as number;
}

/**
 * From where a value is expected inside `depth` containers, whose kinds are in `OPEN`, to where the next is expected that
 * was not skipped; or, with `depthReached` at `floor`, past the value that was the first thing there. Skips nothing where it
 * cannot. At most `maxDepth` containers are entered.
 */
export function skipValues(bytes: Buffer, at: number, depth: number, floor: number, maxDepth: number): number {
  DEPTH[0] = depth;
  for (;;) {
    const end = Math.min(bytes.length, at + WINDOW_BYTES);
    bytes.copy(WINDOW, 0, at, end);
    const windowEnd = WINDOW_AT + end - at;
    const skipped = pastValues(WINDOW_AT, windowEnd, DEPTH[0], floor, maxDepth) - WINDOW_AT;
    at += skipped;
    if (skipped === 0 || DEPTH[0] === floor || bytes.length - at < LONG_BYTES) return at;
  }
}

/** From inside a string to its closing quote, or to what cannot be part of a string, or to an escape that was not skipped. */
export function skipText(bytes: Buffer, at: number): number {
  for (;;) {
    const end = Math.min(bytes.length, at + WINDOW_BYTES);
    bytes.copy(WINDOW, 0, at, end);
    const windowEnd = WINDOW_AT + end - at;
    const stopped = pastText(WINDOW_AT, windowEnd);
    at += stopped - WINDOW_AT;
    if (stopped < windowEnd || end === bytes.length) return at;
  }
}
