// A child process and its streams: lines out of its stdout, lines into its stdin, the end of its stderr for the log. It is
// ended as 2026-07-28 basic/transports/stdio has it: stdin is closed, then SIGTERM is sent, then SIGKILL, with waits between.

import { HeldBytes } from '../../protocol/held-bytes.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { StdioFault } from './fault.ts';
import type { Ending, Launched } from './launcher.ts';
import { StderrTail } from './stderr-tail.ts';

export interface ChildOptions {
  /** Of the McpConfig, for the log. */
  readonly name: string;
  readonly log: Logger;
  /** Values of its environment that no log may show. */
  readonly secrets: readonly string[];
  /** A line of its stdout, without the line end; never empty. */
  readonly onLine: (line: Buffer) => void;
  /** Told once: no more lines will come. */
  readonly onGone: (fault: StdioFault) => void;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const LINE_END = Buffer.from('\n');
const MAX_LINE_BYTES = 64 * 1024 * 1024;
/** What may wait to be read by the child. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;
const PATIENCE_MS = 2_000;
/** Its end is reported by the supervisor, that of its stdout by the socket: whichever comes first waits so long for the other. */
const LAST_WORDS_MS = 250;

export class StdioChild {
  readonly pid: number;
  readonly ended: Promise<Ending>;
  readonly #launched: Launched;
  readonly #options: ChildOptions;
  readonly #held = new HeldBytes();
  readonly #stderr: StderrTail;
  readonly #startedMs = performance.now();
  #ending: Ending | undefined;
  #isGone = false;
  #isMute = false;
  #strayLines = 0;
  #fault: StdioFault | undefined;
  #stopped: Promise<void> | undefined;

  constructor(launched: Launched, options: ChildOptions) {
    const { stdin, stdout, stderr } = launched;
    this.pid = launched.pid;
    this.ended = launched.ended;
    this.#launched = launched;
    this.#options = options;
    this.#stderr = new StderrTail(options.secrets);
    // A child that ends without reading everything breaks its stdin, which is no fault of ours to report.
    for (const stream of [stdin, stdout, stderr]) stream.on('error', () => undefined);
    // The sockets stay half open at an end: nothing is written back on these two, so they are closed here.
    stdout.on('data', (chunk: Buffer) => this.#onData(chunk)).once('close', () => this.#onMute());
    stdout.once('end', () => stdout.destroy()).resume();
    stderr.on('data', (chunk: Buffer) => this.#stderr.push(chunk)).once('end', () => stderr.destroy());
    stderr.resume();
    void this.ended.then((ending) => this.#onEnded(ending));
  }

  get livedMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** Whether it was told to end. */
  get isStopping(): boolean {
    return this.#stopped !== undefined;
  }

  /** Writes a message that holds no line end. Returns `false`, with nothing written, when it leaves too much unread. */
  write(line: Buffer): boolean {
    const { stdin } = this.#launched;
    const unread = stdin.writableLength;
    if (unread > 0 && unread + line.length > MAX_UNREAD_BYTES) return false;
    // It is ending: `onGone` will tell whoever waits.
    if (!stdin.writable) return true;
    stdin.cork();
    stdin.write(line);
    stdin.write(LINE_END);
    stdin.uncork();
    return true;
  }

  /** A line of its stdout was no message. */
  noteStrayLine(): void {
    if (this.#strayLines++ > 0) return;
    const { name, log } = this.#options;
    log.warn(
      'stdio output ignored: stdout is for JSON-RPC messages, one on each line, and stderr for everything else',
      {
        mcp_config: name,
        pid: this.pid,
      },
    );
  }

  /** Asks it to end; resolves when it has. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Ends it for what it did wrong. */
  kill(fault: StdioFault): void {
    this.#fault ??= fault;
    this.#launched.signal('SIGKILL');
  }

  async #stop(): Promise<void> {
    const { stdin, signal } = this.#launched;
    stdin.end();
    const terminate = setTimeout(() => signal('SIGTERM'), PATIENCE_MS);
    const kill = setTimeout(() => signal('SIGKILL'), 2 * PATIENCE_MS);
    await this.ended;
    clearTimeout(terminate);
    clearTimeout(kill);
  }

  #onData(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
      this.#held.push(chunk.subarray(from, at));
      this.#endLine();
      from = at + 1;
    }
    if (from < chunk.length) this.#held.push(chunk.subarray(from));
    if (this.#held.length > MAX_LINE_BYTES) this.#refuseLine();
  }

  #endLine(): void {
    if (this.#held.length > MAX_LINE_BYTES) this.#refuseLine();
    const held = this.#held.whole();
    this.#held.clear();
    const line = held.at(-1) === CARRIAGE_RETURN ? held.subarray(0, -1) : held;
    if (line.length > 0 && this.#fault === undefined) this.#options.onLine(line);
  }

  #refuseLine(): void {
    this.#held.clear();
    const message = `its process wrote a line of more than ${MAX_LINE_BYTES} bytes`;
    this.kill(new StdioFault('broken_answer', message));
  }

  #onMute(): void {
    this.#isMute = true;
    this.#held.clear();
    if (this.#ending !== undefined) this.#go();
    else {
      setTimeout(() => {
        this.#go();
        // Nothing can be heard of it any more.
        if (this.#ending === undefined) void this.#terminate();
      }, LAST_WORDS_MS).unref();
    }
  }

  async #terminate(): Promise<void> {
    const { signal } = this.#launched;
    signal('SIGTERM');
    const kill = setTimeout(() => signal('SIGKILL'), PATIENCE_MS).unref();
    await this.ended;
    clearTimeout(kill);
  }

  #onEnded(ending: Ending): void {
    this.#ending = ending;
    if (this.#isMute) this.#go();
    // Another process that it has started may hold its stdout open.
    else setTimeout(() => this.#go(), LAST_WORDS_MS).unref();
  }

  #go(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const { stdin, stdout, stderr } = this.#launched;
    const fault = this.#fault ?? new StdioFault('unreachable', describeEnding(this.#ending));
    this.#logEnd(fault);
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
    this.#options.onGone(fault);
  }

  #logEnd(fault: StdioFault): void {
    const { name, log } = this.#options;
    const { code, signal } = this.#ending ?? {};
    const fields = {
      mcp_config: name,
      pid: this.pid,
      code: code ?? undefined,
      signal: signal ?? undefined,
      count: this.#strayLines || undefined,
      stderr: this.#stderr.text() || undefined,
    };
    if (this.isStopping) log.info('stdio process stopped', fields);
    else log.warn('stdio process ended', { ...fields, reason: fault.message });
  }
}

function describeEnding(ending: Ending | undefined): string {
  if (ending === undefined) return 'its process closed its stdout';
  const { code, signal } = ending;
  if (signal !== null) return `its process was ended by ${signal}`;
  return code === null ? 'its process was ended' : `its process ended with exit code ${code}`;
}
