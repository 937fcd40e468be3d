// `switchboard serve` with two workers in front of two upstreams: `ctl`, which answers when told, and `ask`, which asks.

import { AskingUpstream } from './asking-upstream.ts';
import { Control, startControlledUpstream } from './controlled-upstream.ts';
import { childrenOf } from './marked-processes.ts';
import type { RecordingUpstream } from './recording-upstream.ts';
import { type ServeChild, startServe } from './serve-child.ts';

export interface WorkerUpstreams {
  readonly ctl: RecordingUpstream;
  readonly ask: AskingUpstream;
  readonly control: Control;
  close(): Promise<void>;
}

export async function startWorkerUpstreams(): Promise<WorkerUpstreams> {
  const control = new Control();
  const [ctl, ask] = [await startControlledUpstream('legacy', control), await AskingUpstream.start('legacy')];
  const close = async (): Promise<void> => {
    control.gate.resolve();
    await Promise.all([ctl.close(), ask.close()]);
  };
  return { ctl, ask, control, close };
}

export function startWorkers(
  { ctl, ask }: WorkerUpstreams,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<ServeChild> {
  const configs = [
    { name: 'ctl', url: ctl.url },
    { name: 'ask', url: ask.url },
  ];
  const upstreams = { allow_http: true, allow_cidrs: ['127.0.0.0/8'] };
  return startServe({ configs, limits: { drain_ms: 5_000 }, settings: { workers: 2, upstreams, ...settings } });
}

/** The processes that serve, in the order of their numbers. */
export function workersOf({ pid }: ServeChild): number[] {
  const indexOf = (command: string): number => Number(/"index":(\d+)/.exec(command)?.[1]);
  return childrenOf(pid)
    .filter(({ command }) => command.includes(' :worker '))
    .sort((a, b) => indexOf(a.command) - indexOf(b.command))
    .map((worker) => worker.pid);
}
