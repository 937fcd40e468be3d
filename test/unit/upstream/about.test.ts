import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { cutText, MAX_INSTRUCTIONS_BYTES, readAbout, type UpstreamAbout } from '../../../src/upstream/about.ts';
import { findMembers } from '../../../src/upstream/loose-json.ts';

const NOTHING: UpstreamAbout = {
  tools: false,
  prompts: false,
  resources: false,
  subscribes: false,
  completions: false,
  logging: false,
  instructions: undefined,
  extensions: undefined,
};

function read(result: string): UpstreamAbout {
  const bytes = Buffer.from(result);
  return readAbout(bytes, findMembers(bytes, 0)!);
}

describe('what an upstream says of itself', () => {
  test('is what it declares, whatever else it says', () => {
    const capabilities =
      '{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"completions":{},"logging":{},"tasks":{},"x":[]}';
    assert.deepEqual(read(`{"capabilities":${capabilities},"instructions":"Ask “twice”.\\n","serverInfo":1}`), {
      ...NOTHING,
      tools: true,
      prompts: true,
      resources: true,
      subscribes: true,
      completions: true,
      logging: true,
      instructions: 'Ask “twice”.\n',
    });
  });

  test('is nothing where it cannot be read', () => {
    const broken = [
      '{}',
      '{"capabilities":null}',
      '{"capabilities":[{"tools":{}}]}',
      '{"capabilities":{"tools":{},"tools":{}}}',
    ];
    for (const result of broken) assert.deepEqual(read(result), NOTHING, result);
    const odd = '{"tools":true,"prompts":null,"resources":{"subscribe":"true"},"completions":[],"logging":1}';
    assert.deepEqual(read(`{"capabilities":${odd},"instructions":7}`), { ...NOTHING, resources: true });
    for (const text of ['""', '" \\n"', '"\\q"', 'null', '{}']) {
      assert.equal(read(`{"instructions":${text}}`).instructions, undefined, text);
    }
  });

  test('has instructions of 16 KiB at most, and of whole characters', () => {
    const said = read(`{"instructions":${JSON.stringify('é'.repeat(MAX_INSTRUCTIONS_BYTES))}}`).instructions!;
    assert.match(said, /^é+ … \[cut\]$/);
    assert.ok(
      Buffer.byteLength(said) <= MAX_INSTRUCTIONS_BYTES && Buffer.byteLength(said) > MAX_INSTRUCTIONS_BYTES - 4,
    );
    assert.equal(read('{"instructions":"a\\ud800b"}').instructions, 'a\ufffdb');
  });

  test('has of its extensions those that cross, byte for byte', () => {
    const ui = '"io.modelcontextprotocol/ui":{ "mimeTypes":["text/html"], "n":1.0 }';
    const of = (extensions: string) => read(`{"capabilities":{"extensions":${extensions}}}`).extensions;
    assert.equal(of(`{"io.modelcontextprotocol/tasks":{},${ui},"com.example/x":{}}`), `{${ui}}`);
    for (const none of ['{}', '{"io.modelcontextprotocol/tasks":{}}', 'null', `[{${ui}}]`])
      assert.equal(of(none), undefined);
    for (const value of [
      'true',
      'null',
      '{"a":tru}',
      `{"a":"${'x'.repeat(17_000)}"}`,
      `{"a":${'['.repeat(61)}${']'.repeat(61)}}`,
    ]) {
      assert.equal(of(`{"io.modelcontextprotocol/ui":${value}}`), undefined, value.slice(0, 50));
    }
  });
});

test('a text is cut to whole characters and never over its bytes', () => {
  assert.equal(cutText('abc', 3), 'abc');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.integer({ min: 16, max: 200 }), (text, maxBytes) => {
      const cut = cutText(text, maxBytes);
      assert.ok(Buffer.byteLength(cut) <= maxBytes);
      if (cut !== text) {
        assert.ok(Buffer.byteLength(text) > maxBytes);
        assert.ok(text.startsWith(cut.replace(/ … \[cut\]$/, '')), cut);
      }
    }),
  );
});
