// The decision which era a scanned message belongs to.

import { classify, MODERN_REVISION } from '../../src/protocol/era.ts';
import { type Message, scanMessage } from '../../src/protocol/jsonrpc.ts';
import { legacyCall, modernCall, SMALL_ARGS } from './bodies.ts';
import type { MicroCase } from './measure.ts';

export function classifyCases(): MicroCase[] {
  const legacy = toMessage(legacyCall(SMALL_ARGS));
  const modern = toMessage(modernCall(SMALL_ARGS));
  const none = { protocolVersion: '2025-11-25', method: undefined, name: undefined };
  const said = { protocolVersion: MODERN_REVISION, method: 'tools/call', name: 'bench.echo' };
  return [
    { name: 'classify: legacy call', run: () => classify(legacy, none) },
    { name: 'classify: modern call', run: () => classify(modern, said) },
    {
      name: 'classify: modern call whose header names another tool',
      run: () => classify(modern, { ...said, name: 'x' }),
    },
  ];
}

export function toMessage(body: Buffer): Message {
  const message = scanMessage(body);
  if (message.kind === 'fault') throw new Error(message.message);
  return message;
}
