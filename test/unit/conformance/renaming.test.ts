import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addPrefix, createEventRenamer, prefixHeader, removePrefix, renameText } from '../../conformance/renaming.ts';

const add = (message: unknown): boolean => addPrefix(message, 'conf.');
const remove = (message: unknown): boolean => removePrefix(message, 'conf.');
const request = (method: string, params: object): string => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
const answer = (result: object): string => JSON.stringify({ jsonrpc: '2.0', id: 1, result });

describe('the names of a request', () => {
  test('a tool that is called and a prompt that is got are prefixed', () => {
    for (const method of ['tools/call', 'prompts/get'])
      assert.equal(renameText(request(method, { name: 'x' }), add), request(method, { name: 'conf.x' }));
  });

  test('a prompt that is completed is prefixed, a resource is not', () => {
    const ref = (of: object) => request('completion/complete', { ref: of });
    assert.equal(renameText(ref({ type: 'ref/prompt', name: 'x' }), add), ref({ type: 'ref/prompt', name: 'conf.x' }));
    assert.equal(renameText(ref({ type: 'ref/resource', uri: 'x' }), add), ref({ type: 'ref/resource', uri: 'x' }));
  });

  test('every message of a batch is renamed', () => {
    const batch = `[${request('tools/call', { name: 'x' })},${request('tools/list', {})}]`;
    assert.equal(renameText(batch, add), `[${request('tools/call', { name: 'conf.x' })},${request('tools/list', {})}]`);
  });

  test('what names nothing stays as it was, byte by byte', () => {
    for (const text of ['{ "method": "tools/call", "params": {"name": 1e2} }', '{', '[1.0]', 'null'])
      assert.equal(renameText(text, add), text);
  });
});

describe('the header Mcp-Name', () => {
  test('is prefixed where the method names a tool or a prompt, and otherwise left alone', () => {
    assert.equal(prefixHeader('x', 'tools/call', 'conf.'), 'conf.x');
    assert.equal(prefixHeader('test://x', 'resources/read', 'conf.'), 'test://x');
    assert.equal(prefixHeader('x', undefined, 'conf.'), 'x');
  });

  test('an encoded name is prefixed inside its encoding, and one that does not decode stays', () => {
    const encoded = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`;
    assert.equal(prefixHeader(encoded('é'), 'prompts/get', 'conf.'), encoded('conf.é'));
    assert.equal(prefixHeader('=?base64?w6k?=', 'tools/call', 'conf.'), '=?base64?w6k?=');
  });
});

describe('the names of an answer', () => {
  const listed = answer({ tools: [{ name: 'conf.a', title: 'conf.a' }], nextCursor: 'conf.' });
  const bare = answer({ tools: [{ name: 'a', title: 'conf.a' }], nextCursor: 'conf.' });

  test('tools and prompts lose the prefix, and nothing else does', () => {
    assert.equal(renameText(listed, remove), bare);
    assert.equal(renameText(answer({ prompts: [{ name: 'conf.p' }] }), remove), answer({ prompts: [{ name: 'p' }] }));
    const other = answer({ content: [{ name: 'conf.a' }] });
    assert.equal(renameText(other, remove), other);
  });

  test('in a stream they do as well, wherever its chunks end', () => {
    const stream = `id: 1\ndata: \n\nevent: message\r\ndata: ${listed}\r\n\r\n: ping\n\n`;
    for (let size = 1; size < stream.length; size += 7) {
      const rename = createEventRenamer(remove);
      let renamed = '';
      for (let at = 0; at < stream.length; at += size) renamed += rename(stream.slice(at, at + size));
      assert.equal(renamed, `id: 1\ndata: \n\nevent: message\r\ndata: ${bare}\r\n\r\n: ping\n\n`);
    }
  });

  test('an event leaves with its last line, not with the next event', () => {
    const rename = createEventRenamer(remove);
    assert.equal(rename('data: {}\n\n'), 'data: {}\n\n');
  });
});
