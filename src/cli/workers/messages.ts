// What the process that holds the ports and the workers that serve them tell each other, over Node's own channel.

import type { Question } from '../../gateway/worker-place.ts';
import type { Address } from '../../settings/environment.ts';

/** The first argument of a worker. It is started by the same program, for whatever that sets up, and is no command. */
export const WORKER = ':worker';

export type PortName = 'main' | 'admin';

/** What a worker is started with. */
export interface WorkerStart {
  readonly config: string;
  /** From 0. A worker that takes the place of another has its index. */
  readonly index: number;
  readonly count: number;
  /** Where the workers have their sockets. */
  readonly folder: string;
  /** Where clients connect to. */
  readonly main: Address;
  readonly admin: Address | undefined;
}

/** `number` tells answers to several questions, or connections, apart. */
export type ToWorker =
  /** The store may be opened. */
  | { readonly tell: 'go' }
  /** Comes with a socket. */
  | { readonly tell: 'connection'; readonly number: number; readonly port: PortName }
  /** Indexes of the workers that serve. */
  | { readonly tell: 'up'; readonly indexes: readonly number[] }
  | { readonly tell: 'question'; readonly number: number; readonly question: Question }
  | { readonly tell: 'answers'; readonly number: number; readonly answers: readonly unknown[] }
  | { readonly tell: 'reload' }
  | { readonly tell: 'drain' };

export type FromWorker =
  /** From here on connections of this port are taken. */
  | { readonly tell: 'accepting'; readonly port: PortName }
  /** Its configuration is in force. */
  | { readonly tell: 'ready' }
  /** Of this port it serves what it has, and takes nothing more. */
  | { readonly tell: 'closed'; readonly port: PortName }
  /** `open`: how many connections it has. */
  | { readonly tell: 'taken'; readonly number: number; readonly open: number }
  | { readonly tell: 'refused'; readonly number: number }
  | { readonly tell: 'open'; readonly open: number }
  | { readonly tell: 'question'; readonly number: number; readonly question: Question }
  | { readonly tell: 'answer'; readonly number: number; readonly answer: unknown };
