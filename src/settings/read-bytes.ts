// Files of bounded size, for everything an operator points the settings at.

import { hash } from 'node:crypto';
import { createReadStream } from 'node:fs';

export type BytesOutcome =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly message: string };

/** Of a config file; as the values it points at, it is read whole. */
export const MAX_CONFIG_FILE_BYTES = 10_000_000;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'is not there',
  ENOTDIR: 'is not there',
  EISDIR: 'is a directory, not a file',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
};

/** Reads at most `maxBytes` bytes; a stream and not `stat` decides, so that pipes and devices are bounded as well. Never throws. */
export async function readBytes(file: string, maxBytes: number): Promise<BytesOutcome> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(file, { end: maxBytes })) chunks.push(chunk as Buffer);
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code);
    return { ok: false, message: REASONS[code] ?? `cannot be read (${code})` };
  }
  const bytes = Buffer.concat(chunks);
  return bytes.length > maxBytes ? { ok: false, message: `is larger than ${maxBytes} bytes` } : { ok: true, bytes };
}

/** SHA-256 in hex: tells whether a file has changed. */
export function digestOf(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}
