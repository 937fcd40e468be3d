// What a client is told whose upstream needs something of it that it does not get: that the client has not declared it, or
// could not give it.

import type { Route } from '../catalog/route.ts';
import { ERRORS } from '../domain/errors.ts';
import { findMember, isObjectAt, JsonScanner, type Member } from '../protocol/json-scan.ts';
import { errorAnswer, rawText, resultAnswer } from '../protocol/jsonrpc.ts';
import type { Refusal, RpcRequest } from './exchange.ts';

/** Capabilities by the names that people know them by; what else an upstream says is not repeated. */
const CAPABILITIES = ['elicitation', 'sampling', 'roots', 'extensions'];

/** `data.requiredCapabilities` of an error's members, as raw JSON (2026-07-28 basic/index#error-codes); an empty object where there is none. */
export function readRequired(body: Buffer, error: readonly Member[]): string {
  const data = findMember(error, 'data');
  const members: Member[] = [];
  if (data === undefined || new JsonScanner(body).readMembers(data.start, 0, members) < 0) return '{}';
  const required = findMember(members, 'requiredCapabilities');
  return required !== undefined && isObjectAt(body, required.start) ? rawText(body, required) : '{}';
}

/** Says as a clause what an upstream requires. */
export function toNeed(required: string): string {
  const keys = Object.keys(JSON.parse(required));
  const named = CAPABILITIES.filter((name) => keys.includes(name));
  return `it needs a client that has declared ${named.length === 0 ? 'more than this one' : named.join(' and ')}`;
}

/** What a modern client is told, who may declare it and ask again. */
export function toUndeclared({ service }: Route, required: string): Refusal {
  return {
    code: 'missing_client_capability',
    message: `The service ${service} needs a client that it can ask for something: declare in _meta what data.requiredCapabilities says.`,
    data: { source: 'gateway', service, requiredCapabilities: JSON.parse(required) },
  };
}

/** The whole answer. A tool says itself that it did not work, so that the model can be told why; of other things only an error can. */
export function toUnasked({ message, idText }: RpcRequest, { service }: Route, why: string): Buffer {
  const text = `The service ${service} could not finish this: ${why}.`;
  if (message.method === 'tools/call') {
    return Buffer.from(resultAnswer(idText, JSON.stringify({ content: [{ type: 'text', text }], isError: true })));
  }
  const data = { source: 'gateway', service };
  return Buffer.from(errorAnswer(idText, { code: ERRORS.internal.jsonRpcCode, message: text, data }));
}
