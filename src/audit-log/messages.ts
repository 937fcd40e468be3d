// What the gateway's thread and the thread that writes the log say to each other.

import type { Checkpoint } from './checkpoint.ts';
import type { CallPage, CallQuery } from './read-calls.ts';

/** What the writing thread is started with. Plain values: they are copied. */
export interface WriterSettings {
  readonly directory: string;
  readonly checkpointFile: string | undefined;
  readonly key: Uint8Array;
  readonly segmentBytes: number;
  readonly keepDays: number;
  readonly keepBytes: number;
  /** Whether calls will come; without them the thread only keeps the checkpoint. */
  readonly recordsCalls: boolean;
}

/** Answered by a `done` with the same number, in the order in which they were asked. */
export type WriterRequest =
  /** When all batches before it have been written, or cannot be. */
  | { readonly kind: 'flush' }
  | { readonly kind: 'read'; readonly query: CallQuery; readonly cursor: string | null; readonly limit: number }
  /** Writes what can be written, and ends the thread. */
  | { readonly kind: 'close' };

/** Whole lines; the memory goes to the writing thread and comes back when they are written. */
export interface Batch {
  readonly buffer: ArrayBuffer;
  /** So many bytes of it are lines. */
  readonly bytes: number;
  readonly records: number;
}

export type ToWriter =
  | { readonly kind: 'batch'; readonly batch: Batch }
  | { readonly kind: 'changes'; readonly heads: Checkpoint['changes'] }
  | { readonly kind: 'request'; readonly number: number; readonly request: WriterRequest };

/** What went wrong, as the code of the system call that failed, such as `ENOSPC`. */
export interface WriterState {
  readonly log: string | null;
  readonly checkpoint: string | null;
}

export interface WriterAnswer {
  readonly page?: CallPage;
  /** Why there is no page: the cursor is none of ours, or the code of the system call that failed. */
  readonly isCursorForeign?: boolean;
  readonly failure?: string;
  /** Records that could not be written before the end. */
  readonly lost?: number;
}

export type FromWriter =
  | { readonly kind: 'written'; readonly batch: Batch }
  | { readonly kind: 'state'; readonly state: WriterState }
  | { readonly kind: 'done'; readonly number: number; readonly answer: WriterAnswer }
  | WriterNotice;

/** Something an operator should know. */
export interface WriterNotice {
  readonly kind: 'notice';
  readonly level: 'info' | 'warn' | 'error';
  readonly event: string;
  readonly file: string;
  readonly reason?: string;
  readonly bytes?: number;
}
