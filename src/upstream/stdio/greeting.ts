// Finds out which era a process speaks (2026-07-28 basic/transports/stdio#backward-compatibility), and initialises a legacy
// one that many share: it can be initialised only once, and so by none of them.

import { setTimeout as delay } from 'node:timers/promises';
import { capabilitiesText, RELAYED_CAPABILITIES } from '../../protocol/client-capabilities.ts';
import { type Era, LEGACY_REVISIONS } from '../../protocol/era.ts';
import { findMember } from '../../protocol/json-scan.ts';
import { readAnswer } from '../control-answer.ts';
import { isModern, modernMeta } from '../handshake.ts';
import { findMembers, skipSpace } from '../loose-json.ts';
import { StdioFault } from './fault.ts';
import type { StdioProcess } from './process.ts';

export interface GreetingOptions {
  /** `Implementation` as raw JSON. */
  readonly clientInfo: string;
  /** Whether a legacy process is initialised here, and not by each session. */
  readonly initializes: boolean;
  /** For all of it: a command may have to be installed first. */
  readonly timeoutMs: number;
  /** From here on a server that says nothing is taken for a legacy one; two seconds unless told. */
  readonly probeMs?: number;
  readonly mintId: () => string;
}

/** `result`: what a legacy process answered that was initialised here, as raw JSON. */
export interface Greeting {
  readonly era: Era;
  readonly result: Buffer | undefined;
}

const PROBE_MS = 2_000;
const INITIALIZED = Buffer.from('{"jsonrpc":"2.0","method":"notifications/initialized"}');
const MODERN: Greeting = { era: 'modern', result: undefined };

/** Asks a process that has not been spoken to. Throws `StdioFault`. */
export async function greet(process: StdioProcess, options: GreetingOptions): Promise<Greeting> {
  const timer = new AbortController();
  const { timeoutMs } = options;
  const late = delay(timeoutMs, undefined, { signal: timer.signal, ref: false }).then(
    () => {
      throw new StdioFault('timeout', `its process did not answer within ${timeoutMs} ms`);
    },
    // The timer was stopped: the race is over, and what it resolves with is not seen.
    () => MODERN,
  );
  try {
    return await Promise.race([exchangeGreetings(process, options), late]);
  } finally {
    timer.abort();
  }
}

async function exchangeGreetings(process: StdioProcess, options: GreetingOptions): Promise<Greeting> {
  const { clientInfo, mintId, initializes, probeMs = PROBE_MS } = options;
  const probeId = mintId();
  const probed = ask(process, probeId, 'server/discover', `{"_meta":${modernMeta(clientInfo)}}`);
  const answer = await Promise.race([probed, delay(probeMs, undefined, { ref: false })]);
  if (answer !== undefined && isDiscovery(answer, probeId)) return MODERN;
  if (!initializes) return { era: 'legacy', result: undefined };

  const id = mintId();
  const capabilities = capabilitiesText(RELAYED_CAPABILITIES, LEGACY_REVISIONS[0]);
  const params = `{"protocolVersion":"${LEGACY_REVISIONS[0]}","capabilities":${capabilities},"clientInfo":${clientInfo}}`;
  const initialized = ask(process, id, 'initialize', params);
  // A modern server that was slow to start answers the probe after all, and refuses to be initialised.
  let isModernAfterAll = false;
  const late = probed.then((line) => {
    isModernAfterAll = isDiscovery(line, probeId);
    return isModernAfterAll ? undefined : initialized;
  });
  const line = await Promise.race([initialized, late]);
  if (isModernAfterAll || line === undefined) return MODERN;
  process.send(INITIALIZED);
  return { era: 'legacy', result: readResult(line) };
}

function ask(process: StdioProcess, id: string, method: string, params: string): Promise<Buffer> {
  const answered = Promise.withResolvers<Buffer>();
  // Nobody may await it any more when it is rejected.
  answered.promise.catch(() => undefined);
  process.request(id, Buffer.from(`{"jsonrpc":"2.0","id":"${id}","method":"${method}","params":${params}}`), {
    isCall: false,
    event: () => undefined,
    answer: answered.resolve,
    end: () => undefined,
    fail: answered.reject,
  });
  return answered.promise;
}

function isDiscovery(line: Buffer, id: string): boolean {
  const answer = readAnswer(line, id, 200);
  return typeof answer === 'object' && answer.result !== undefined && isModern(line, answer.result);
}

function readResult(line: Buffer): Buffer {
  const result = findMember(findMembers(line, skipSpace(line, 0)) ?? [], 'result');
  if (result === undefined) throw new StdioFault('broken_answer', 'its process refuses to be initialised');
  return line.subarray(result.start, result.end);
}
