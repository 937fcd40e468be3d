// The log of calls as the gateway uses it: a record costs one string, batches go to a thread that writes them, and what
// happens when that thread cannot keep up is the operator's choice.

import { GatewayError } from '../domain/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { type CallEnd, IsoClock, toCallLine, toGapLine } from './call-record.ts';
import type { ChangeHead } from './checkpoint.ts';
import type { Batch, FromWriter, WriterState } from './messages.ts';
import type { OverflowPolicy } from './overflow-policy.ts';
import { type CallPage, type CallQuery, refuseCursor } from './read-calls.ts';
import { WriterThread } from './writer-thread.ts';

export interface AuditSettings {
  readonly calls: boolean;
  readonly directory: string;
  readonly checkpointFile: string | undefined;
  readonly onOverflow: OverflowPolicy;
  readonly segmentBytes: number;
  /** 0 keeps all. */
  readonly keepDays: number;
  readonly keepBytes: number;
}

export interface AuditLogOptions extends AuditSettings {
  readonly key: Uint8Array;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Logger;
  readonly telemetry: Pick<Telemetry, 'auditDropped' | 'auditFailing' | 'auditPendingBytes'>;
  /** Records that wait to be written, in bytes. */
  readonly maxPendingBytes?: number;
}

/** What a batch costs besides its bytes, in both threads, is a third of a millisecond: batches of 64 KiB cost twice as much. */
const BATCH_BYTES = 256 * 1024;
/** More than the longest line: names are cut and patterns are short before they come here. */
const LINE_BYTES = 8 * 1024;
/** Memory of batches that is kept for the next ones. */
const MAX_SPARE = 4;
const BATCH_MS = 100;
const MAX_PENDING_BYTES = 8 * 1024 * 1024;
/** A thread that has died is started again, but not in a circle. */
const RESTART_MS = 1_000;

export class AuditLog {
  /** Whether calls are recorded; asked before a record is made. */
  readonly recordsCalls: boolean;
  readonly #options: AuditLogOptions;
  readonly #maxPendingBytes: number;
  readonly #thread: WriterThread;
  readonly #clock = new IsoClock();
  /** Lines are written into it one by one: to join them all at the end costs more than all that came before. */
  #batch = Buffer.allocUnsafeSlow(BATCH_BYTES + LINE_BYTES);
  #bytes = 0;
  #records = 0;
  readonly #spare: ArrayBuffer[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** With the thread, and not written yet. */
  #sentBytes = 0;
  #sentRecords = 0;
  /** From when the limit is reached until half of it is written: one gap, and not one between every two records. */
  #isFull = false;
  /** Calls that are not in the log, by account, since it became full. */
  readonly #missing = new Map<string, number>();
  #totalDropped = 0;
  #state: WriterState = { log: null, checkpoint: null };
  #sinceMs = 0;
  #isClosed = false;

  constructor(options: AuditLogOptions) {
    this.#options = options;
    this.recordsCalls = options.calls;
    this.#maxPendingBytes = options.maxPendingBytes ?? MAX_PENDING_BYTES;
    const { calls, key, directory, checkpointFile, segmentBytes, keepDays, keepBytes } = options;
    const settings = { recordsCalls: calls, key, directory, checkpointFile, segmentBytes, keepDays, keepBytes };
    this.#thread = new WriterThread(
      settings,
      (message) => this.#receive(message),
      (error) => this.#onThreadDeath(error),
    );
    options.telemetry.auditPendingBytes.collect((family) => family.labels().set(this.#pendingBytes));
  }

  /** Resolves when the log is open, with what a crash has left seen to, or cannot be opened at this moment. */
  async start(): Promise<void> {
    if (!this.recordsCalls && this.#options.checkpointFile === undefined) return;
    // A thread that dies over it is told of and started again.
    await this.#thread.ask({ kind: 'flush' }).catch(() => undefined);
  }

  /**
   * Whether a call may begin: not while the log is full and the operator wants no call without a record. A call that is
   * turned away is counted, and the log says how many there were.
   */
  admits(accountId: string): boolean {
    if (!this.#isFull || this.#options.onOverflow === 'drop') return true;
    this.#miss(accountId);
    return false;
  }

  /** Records one call that has ended. `subjectText` is made by `toSubjectText`. */
  record(accountId: string, subjectText: string, end: CallEnd): void {
    if (this.#isFull && this.#options.onOverflow === 'drop') {
      this.#miss(accountId);
      this.#totalDropped++;
      this.#options.telemetry.auditDropped.add();
      return;
    }
    this.#add(toCallLine(this.#clock.at(this.#options.now()), subjectText, end));
  }

  /** Has the checkpoint know the newest change of an account's configuration. */
  noteChange(accountId: string, head: ChangeHead): void {
    if (this.#isClosed || this.#options.checkpointFile === undefined) return;
    this.#thread.post({ kind: 'changes', heads: { [accountId]: head } });
  }

  /** Resolves when what was recorded so far is written, or cannot be at this moment. */
  async flush(): Promise<void> {
    this.#send();
    await this.#thread.ask({ kind: 'flush' });
  }

  /** One page of an account's calls, newest first, the last one included. Throws `invalid_argument` for a foreign cursor. */
  async read(query: CallQuery, cursor: string | null, limit: number): Promise<CallPage> {
    this.#send();
    const { page, isCursorForeign, failure } = await this.#thread.ask({ kind: 'read', query, cursor, limit });
    if (page !== undefined) return page;
    if (isCursorForeign) throw refuseCursor();
    throw new GatewayError('internal', `The audit log cannot be read (${failure}). The log of the gateway says more.`);
  }

  /** How the log is doing, for operators. */
  describe(): object {
    const { log, checkpoint } = this.#state;
    if (!this.recordsCalls) return { calls: 'off', ...describePart('checkpoint', checkpoint) };
    return {
      state: this.#isFull ? 'full' : log === null ? 'ok' : 'failing',
      on_overflow: this.#options.onOverflow,
      ...(log === null ? {} : { reason: log, since: new Date(this.#sinceMs).toISOString() }),
      ...describePart('checkpoint', this.#options.checkpointFile === undefined ? undefined : checkpoint),
      pending_bytes: this.#pendingBytes,
      dropped: this.#totalDropped,
    };
  }

  /** Writes what is left and ends the thread; what is recorded afterwards is not. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#sayMissing();
    this.#send();
    this.#isClosed = true;
    if (!this.#thread.isRunning) return;
    const lost = await this.#thread.close().catch(() => this.#sentRecords);
    if (lost > 0) this.#options.log.error('audit records lost', { count: lost });
  }

  get #pendingBytes(): number {
    return this.#sentBytes + this.#bytes;
  }

  #add(line: string): void {
    if (this.#isClosed) return;
    this.#bytes += this.#batch.write(line, this.#bytes, 'latin1');
    this.#records++;
    if (this.#bytes >= BATCH_BYTES) this.#send();
    else this.#timer ??= setTimeout(() => this.#send(), BATCH_MS).unref();
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#records === 0) return;
    const batch = { buffer: this.#batch.buffer, bytes: this.#bytes, records: this.#records };
    this.#sentBytes += this.#bytes;
    this.#sentRecords += this.#records;
    this.#thread.post({ kind: 'batch', batch });
    const spare = this.#spare.pop();
    this.#batch = spare === undefined ? Buffer.allocUnsafeSlow(BATCH_BYTES + LINE_BYTES) : Buffer.from(spare);
    this.#bytes = 0;
    this.#records = 0;
    if (!this.#isFull && this.#sentBytes >= this.#maxPendingBytes) this.#becomeFull();
  }

  #becomeFull(): void {
    this.#isFull = true;
    this.#options.log.warn('audit log full', { state: this.#options.onOverflow, bytes: this.#pendingBytes });
  }

  #miss(accountId: string): void {
    this.#missing.set(accountId, (this.#missing.get(accountId) ?? 0) + 1);
  }

  /** Puts into the log how much is not in it. */
  #sayMissing(): void {
    const kind = this.#options.onOverflow === 'drop' ? 'dropped' : 'refused';
    const time = this.#clock.at(this.#options.now());
    for (const [accountId, count] of this.#missing) this.#add(toGapLine(time, accountId, kind, count));
    this.#missing.clear();
  }

  #receive(message: Exclude<FromWriter, { kind: 'done' }>): void {
    if (message.kind === 'written') this.#onWritten(message.batch);
    else if (message.kind === 'state') this.#onState(message.state);
    else {
      const { level, event, file, reason, bytes } = message;
      this.#options.log[level](event, { file, reason, bytes });
    }
  }

  #onWritten({ buffer, bytes, records }: Batch): void {
    if (this.#spare.length < MAX_SPARE) this.#spare.push(buffer);
    this.#sentBytes -= bytes;
    this.#sentRecords -= records;
    if (!this.#isFull || this.#sentBytes > this.#maxPendingBytes / 2) return;
    this.#isFull = false;
    const count = [...this.#missing.values()].reduce((sum, each) => sum + each, 0);
    this.#options.log.warn('audit log goes on', { count });
    this.#sayMissing();
  }

  #onState(state: WriterState): void {
    const { log, now, telemetry } = this.#options;
    const before = this.#state;
    if (state.log === before.log && state.checkpoint === before.checkpoint) return;
    if (before.log === null) this.#sinceMs = now();
    this.#state = state;
    telemetry.auditFailing.set(state.log === null && state.checkpoint === null ? 0 : 1);
    const reason = state.log ?? state.checkpoint;
    if (reason === null) log.info('audit log is written again');
    else log.warn(state.log === null ? 'audit checkpoint not written' : 'audit log not written', { reason });
  }

  /** What was with the thread is lost, and the log must say so, though not any more whose it was. */
  #onThreadDeath(error: unknown): void {
    const { log, telemetry } = this.#options;
    log.error('audit thread ended', { error, count: this.#sentRecords });
    telemetry.auditDropped.add(this.#sentRecords);
    this.#totalDropped += this.#sentRecords;
    if (this.#sentRecords > 0) this.#missing.set('', (this.#missing.get('') ?? 0) + this.#sentRecords);
    this.#sentBytes = 0;
    this.#sentRecords = 0;
    this.#isFull = false;
    this.#onState({ log: 'thread_ended', checkpoint: null });
    setTimeout(() => {
      if (this.#isClosed) return;
      this.#thread.start();
      this.#sayMissing();
    }, RESTART_MS).unref();
  }
}

function describePart(name: string, problem: string | null | undefined): object {
  return problem === undefined ? {} : { [name]: problem ?? 'ok' };
}
