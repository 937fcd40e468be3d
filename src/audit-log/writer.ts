// Everything that touches the disk: seals batches, tries again what could not be written, keeps the checkpoint and the
// retention. Runs in a thread of its own, so a slow disk delays no call.

import { GatewayError } from '../domain/errors.ts';
import { Chain } from './chain.ts';
import { type Checkpoint, mergeIntoCheckpoint, readCheckpoint } from './checkpoint.ts';
import { codeOf } from './files.ts';
import { type CallLogKeys, type ChainHead, deriveCallLogKeys } from './format.ts';
import type { Batch, FromWriter, WriterNotice, WriterSettings, WriterState } from './messages.ts';
import { retain } from './retention.ts';

export interface WriterOptions extends WriterSettings {
  readonly now: () => number;
  readonly tell: (message: FromWriter) => void;
}

const RETENTION_MS = 3_600_000;

export class Writer {
  readonly #options: WriterOptions;
  readonly #keys: CallLogKeys;
  readonly #queue: Batch[] = [];
  #chain: Chain | undefined;
  #changes: Checkpoint['changes'] = {};
  /** Heads that the checkpoint does not have yet; of chains that were let go of, too. */
  #unsaved = new Map<string, ChainHead>();
  /** True at first: there is a checkpoint from the start, and one that is missing was deleted. */
  #hasUnsavedChanges = true;
  #state: WriterState = { log: null, checkpoint: null };
  #retainedMs = Number.NEGATIVE_INFINITY;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#keys = deriveCallLogKeys(options.key);
  }

  /** Opens the chain ahead of the first batch: what a crash has left is seen to at the start. */
  start(): void {
    if (this.#options.recordsCalls) this.drain();
    this.tick();
    // An earlier thread may have ended in trouble.
    this.#options.tell({ kind: 'state', state: this.#state });
  }

  add(batch: Batch): void {
    this.#queue.push(batch);
    if (this.#state.log === null) this.drain();
  }

  noteChanges(heads: Checkpoint['changes']): void {
    this.#changes = { ...this.#changes, ...heads };
    this.#hasUnsavedChanges = true;
  }

  /** Writes what waits, until it fails. */
  drain(): void {
    try {
      const chain = this.#heldChain();
      for (let batch = this.#queue[0]; batch !== undefined; batch = this.#queue[0]) {
        const hasBegun = chain.append(Buffer.from(batch.buffer, 0, batch.bytes), batch.records);
        this.#unsaved.set(chain.id, chain.head);
        this.#queue.shift();
        this.#options.tell({ kind: 'written', batch });
        if (hasBegun) this.#retainedMs = Number.NEGATIVE_INFINITY;
      }
      this.#setState({ log: null });
    } catch (error) {
      this.#setState({ log: codeOf(error) ?? 'failed' });
    }
  }

  /** Once a second: tries again, saves the checkpoint, and now and then looks at what may be deleted. */
  tick(): void {
    if (this.#queue.length > 0 || this.#state.log !== null) this.drain();
    this.#saveCheckpoint();
    if (this.#options.now() - this.#retainedMs >= RETENTION_MS) this.#retain();
  }

  /** Writes what can be written, and lets go of the chain. Returns how many records are lost. */
  close(): number {
    if (this.#queue.length > 0) this.drain();
    for (let attempt = 0; attempt < 50 && !this.#saveCheckpoint(); attempt++) pauseMs(10);
    try {
      this.#chain?.close();
    } catch (error) {
      this.#setState({ log: codeOf(error) ?? 'failed' });
    }
    return this.#queue.reduce((sum, { records }) => sum + records, 0);
  }

  #heldChain(): Chain {
    if (this.#chain !== undefined && !this.#chain.isHeld()) {
      this.#notice({ level: 'warn', event: 'audit chain lost to another process', file: this.#chain.id });
      this.#chain.close();
      this.#chain = undefined;
    }
    this.#chain ??= this.#openChain();
    return this.#chain;
  }

  #openChain(): Chain {
    const { directory, segmentBytes, now } = this.#options;
    const chain = Chain.open({
      directory,
      keys: this.#keys,
      segmentBytes,
      now,
      checkpoint: this.#knownCheckpoint(),
      onBroken: ({ file, why: reason }) =>
        this.#notice({ level: 'error', event: 'audit log was changed, and is not continued', file, reason }),
      onCut: ({ segment: file, bytes }) =>
        this.#notice({ level: 'warn', event: 'audit log cut after a crash', file, bytes }),
    });
    this.#unsaved.set(chain.id, chain.head);
    return chain;
  }

  /** What cannot be read at all is told of when it is to be written. */
  #knownCheckpoint(): Checkpoint | undefined {
    const { checkpointFile } = this.#options;
    if (checkpointFile === undefined) return undefined;
    try {
      return readCheckpoint(checkpointFile, this.#keys);
    } catch (error) {
      const event = 'audit checkpoint is not ours, and is moved aside';
      if (error instanceof GatewayError) this.#notice({ level: 'error', event, file: checkpointFile });
      return undefined;
    }
  }

  /** Returns false when another process was writing it; the next tick tries again. */
  #saveCheckpoint(): boolean {
    const { checkpointFile, now } = this.#options;
    if (checkpointFile === undefined || (this.#unsaved.size === 0 && !this.#hasUnsavedChanges)) return true;
    try {
      this.#chain?.sync();
      const heads = { calls: Object.fromEntries(this.#unsaved), changes: this.#changes };
      if (!mergeIntoCheckpoint(checkpointFile, this.#keys, heads, now())) return false;
      this.#unsaved.clear();
      this.#hasUnsavedChanges = false;
      this.#setState({ checkpoint: null });
    } catch (error) {
      this.#setState({ checkpoint: codeOf(error) ?? 'failed' });
    }
    return true;
  }

  #retain(): void {
    const { directory, keepDays, keepBytes, now } = this.#options;
    this.#retainedMs = now();
    try {
      this.#chain?.endOldSegment();
      const own = { chain: this.#chain?.id ?? '', segment: this.#chain?.segment };
      const deleted = retain({ directory, keys: this.#keys, keepDays, keepBytes, now, own });
      for (const file of deleted) this.#notice({ level: 'info', event: 'audit segment deleted by retention', file });
    } catch (error) {
      const reason = codeOf(error) ?? 'failed';
      this.#notice({ level: 'warn', event: 'audit retention failed', file: directory, reason });
    }
  }

  #notice(notice: Omit<WriterNotice, 'kind'>): void {
    this.#options.tell({ kind: 'notice', ...notice });
  }

  #setState(change: Partial<WriterState>): void {
    const state = { ...this.#state, ...change };
    const isSame = state.log === this.#state.log && state.checkpoint === this.#state.checkpoint;
    this.#state = state;
    if (!isSame) this.#options.tell({ kind: 'state', state });
  }
}

/** This thread has nothing else to do. */
function pauseMs(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}
