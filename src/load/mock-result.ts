// What the tools of a mock upstream answer: results of a wanted size in one of two shapes, and the list that offers them.
// All of it is ASCII, so that a latin1 string is the wire form.

import type { Era } from '../protocol/era.ts';

/** `string`: one long text. `dense`: many small members, as structured data has. */
export type Shape = 'string' | 'dense';

export const MOCK_INFO = '{"name":"switchboard-mock-upstream","version":"1"}';
const MODERN_META = `"_meta":{"io.modelcontextprotocol/serverInfo":${MOCK_INFO}}`;
/** The members that modern results of lists carry, behind a comma. */
export const MODERN_CACHEABLE = `"resultType":"complete","ttlMs":3600000,"cacheScope":"public",${MODERN_META}`;
const RECORD = '{"id":1234567,"name":"a record","tags":["a","b"],"ok":true,"ratio":0.25}';

/** A tool's result of `bytes` bytes, or a little more, as raw JSON. */
export function toMockResult(era: Era, bytes: number, shape: Shape): string {
  const end = era === 'modern' ? `,"resultType":"complete",${MODERN_META}}` : '}';
  if (shape === 'string') {
    const [head, tail] = ['{"content":[{"type":"text","text":"mock result ', `"}]${end}`];
    return head + 'x'.repeat(Math.max(0, bytes - head.length - tail.length)) + tail;
  }
  const [head, tail] = ['{"content":[],"structuredContent":{"records":[', `]}${end}`];
  const count = Math.max(1, Math.floor((bytes - head.length - tail.length) / (RECORD.length + 1)));
  return head + Array.from({ length: count }, () => RECORD).join() + tail;
}

/** The result of `tools/list`: `echo`, `tool_1` and so on. */
export function toMockList(era: Era, count: number): string {
  const schema = '{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}';
  const tools = Array.from({ length: count }, (_, index) => {
    const name = index === 0 ? 'echo' : `tool_${index}`;
    return `{"name":"${name}","description":"Answers with a fixed text","inputSchema":${schema}}`;
  });
  return `{"tools":[${tools.join()}]${era === 'modern' ? `,${MODERN_CACHEABLE}` : ''}}`;
}
