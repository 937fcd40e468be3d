// The target `static`: what another target has answered, from memory.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startChild, stopChild } from './children.ts';
import type { Context } from './scenario.ts';
import type { RunningTarget } from './targets.ts';

/** Asks `other` once for its answer and starts a server that gives the same bytes to everything. */
export async function openStatic(context: Context, other: RunningTarget | undefined): Promise<RunningTarget> {
  if (other === undefined) throw new Error('a static answer takes a target before it');
  const { url, headers, body } = other.call;
  const file = join(context.directory, 'answer.json');
  writeFileSync(file, Buffer.from(await (await fetch(url, { method: 'POST', headers, body })).arrayBuffer()));
  const { child, pid, url: ownUrl } = await startChild({ args: ['bench/static.ts', '--body', file], isProbed: true });
  context.cleanup.defer(() => stopChild(child));
  const endpoint = { ...other.endpoint, url: ownUrl };
  const request = { ...other.call.request, url: new URL(ownUrl) };
  return {
    ...other,
    child,
    pid,
    usesUpstream: false,
    endpoint,
    call: { ...other.call, url: ownUrl, request },
  };
}
