// A real MCP server in a process of its own, to be killed, stopped, slowed down and started again under load.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { SdkServerKind } from './sdk-servers.ts';
import type { FromUpstream, ToUpstream } from './upstream-process.ts';

const PROGRAM = join(import.meta.dirname, 'upstream-process.ts');

/** Starts one on a free port. Its one tool, `echo`, answers with its argument `text`. */
export async function startUpstreamChild(kind: SdkServerKind, reply: 'json' | 'sse' = 'json'): Promise<UpstreamChild> {
  const upstream = new UpstreamChild(kind, reply);
  await upstream.prepare();
  await upstream.listen();
  return upstream;
}

export class UpstreamChild {
  url = '';
  readonly #arguments: readonly string[];
  #child: ChildProcess | undefined;
  #prepared: ChildProcess | undefined;

  constructor(kind: SdkServerKind, reply: 'json' | 'sse') {
    this.#arguments = [kind, reply];
  }

  /** Starts the process that the next `listen` is to put in the place of this one: what a start costs is not measured then. */
  async prepare(): Promise<void> {
    const child = fork(PROGRAM, this.#arguments, { execArgv: [] });
    this.#prepared = child;
    await once(child, 'message');
  }

  /** Serves with the prepared process, on the port of the one before. */
  async listen(): Promise<void> {
    this.#child = this.#prepared;
    this.#prepared = undefined;
    const port = this.url === '' ? 0 : Number(new URL(this.url).port);
    const answer = await this.#tell({ listen: port });
    this.url = (answer as { readonly url: string }).url;
  }

  /** Ends the process as a crash does; resolves when it is gone and its port is free. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** From now on the kernel accepts its connections, and nobody answers. */
  hang(): void {
    this.#child?.kill('SIGSTOP');
  }

  wake(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Every call that comes now is answered after so long. */
  async delayCalls(ms: number): Promise<void> {
    await this.#tell({ delayMs: ms });
  }

  /** As behind a port that stays open: connections are cut, and the sessions of before are unknown. */
  async restart(): Promise<void> {
    await this.#tell('restart');
  }

  /** The longest that its process has stood still. */
  async longestStallMs(): Promise<number> {
    const { longestStallMs } = (await this.#tell('stall')) as { readonly longestStallMs: number };
    return longestStallMs;
  }

  async close(): Promise<void> {
    this.#prepared?.kill('SIGKILL');
    await this.kill();
  }

  async #tell(message: ToUpstream): Promise<FromUpstream> {
    const child = this.#child;
    if (child === undefined) throw new Error('the upstream has no process');
    const answered = once(child, 'message');
    child.send(message);
    const [answer] = await answered;
    return answer;
  }
}
