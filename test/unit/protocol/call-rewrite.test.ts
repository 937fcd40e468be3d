import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type CallRewrite, rewriteCall } from '../../../src/protocol/call-rewrite.ts';
import { classify, type Era } from '../../../src/protocol/era.ts';
import { findMember } from '../../../src/protocol/json-scan.ts';
import { type Message, rawText, scanMessage } from '../../../src/protocol/jsonrpc.ts';

const UPSTREAM_ID = 'Zk3-pQ_9aVbX0LmN7yTc2w';
const CLIENT_INFO = '{"name":"gateway","version":"9"}';
const VERSION = '"io.modelcontextprotocol/protocolVersion":"2026-07-28"';
const CAPABILITIES = '"io.modelcontextprotocol/clientCapabilities"';
const INFO = '"io.modelcontextprotocol/clientInfo"';
/** What the gateway says of itself to a modern upstream. */
const OWN_ENVELOPE = `${VERSION},${CAPABILITIES}:{},${INFO}:${CLIENT_INFO}`;

function scan(text: string): Message {
  const message = scanMessage(Buffer.from(text));
  assert.ok(message.kind !== 'fault', `${text}: ${message.kind === 'fault' && message.message}`);
  return message;
}

function rewrite(text: string, clientEra: Era, upstreamEra: Era, declared: Partial<CallRewrite> = {}): string {
  const message = scan(text);
  const name = findMember(message.params, 'name');
  const rename = name && { start: name.start, end: name.end, text: '"search"' };
  const hop = {
    upstreamId: UPSTREAM_ID,
    clientInfo: CLIENT_INFO,
    capabilities: '{}',
    logLevel: undefined,
    state: undefined,
  };
  const pieces = rewriteCall(message, { clientEra, upstreamEra, rename, ...hop, ...declared });
  return (Buffer.isBuffer(pieces) ? pieces : Buffer.concat(pieces)).toString();
}

function call(params: string, id = '1'): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${params}}`;
}

const ours = (params: string) => call(params, `"${UPSTREAM_ID}"`);

describe('the envelope between eras', () => {
  const modernMeta = `{${VERSION},${CAPABILITIES}:{"sampling":{}},${INFO}:{"name":"c","version":"1"},"io.modelcontextprotocol/logLevel":"info","progressToken":7,"traceparent":"00-a","com.example/x":{"a":1.0}}`;
  const legacyMeta = '{"progressToken":7,"traceparent":"00-a","com.example/x":{"a":1.0}}';
  const rest = `"progressToken":"${UPSTREAM_ID}","traceparent":"00-a","com.example/x":{"a":1.0}`;

  test('legacy to legacy: the progress token alone changes', () => {
    assert.equal(
      rewrite(call(`{"name":"s.search","arguments":{},"_meta":${legacyMeta}}`), 'legacy', 'legacy'),
      ours(`{"name":"search","arguments":{},"_meta":{${rest}}}`),
    );
  });

  test('modern to modern: the capabilities become those of this hop, who calls and the log level stay', () => {
    assert.equal(
      rewrite(call(`{"name":"s.search","_meta":${modernMeta}}`), 'modern', 'modern'),
      ours(
        `{"name":"search","_meta":{${VERSION},${CAPABILITIES}:{},${INFO}:{"name":"c","version":"1"},"io.modelcontextprotocol/logLevel":"info",${rest}}}`,
      ),
    );
  });

  test('modern to legacy: the envelope is taken out, all else stays', () => {
    assert.equal(
      rewrite(call(`{"name":"s.search","_meta":${modernMeta}}`), 'modern', 'legacy'),
      ours(`{"name":"search","_meta":{${rest}}}`),
    );
    assert.equal(
      rewrite(call(`{"name":"s.search","_meta":{${VERSION},${CAPABILITIES}:{}}}`), 'modern', 'legacy'),
      ours('{"name":"search","_meta":{}}'),
    );
  });

  test('legacy to modern: the envelope is put in front, all else stays', () => {
    assert.equal(
      rewrite(call(`{"name":"s.search","_meta":${legacyMeta}}`), 'legacy', 'modern'),
      ours(`{"name":"search","_meta":{${OWN_ENVELOPE},${rest}}}`),
    );
    assert.equal(
      rewrite(call('{"name":"s.search","_meta":{ }}'), 'legacy', 'modern'),
      ours(`{"name":"search","_meta":{${OWN_ENVELOPE}}}`),
    );
  });

  test('legacy to modern without a _meta: one is added', () => {
    assert.equal(
      rewrite(call('{ "name" : "s.search" }'), 'legacy', 'modern'),
      ours(`{"_meta":{${OWN_ENVELOPE}}, "name" : "search" }`),
    );
  });

  test('a legacy client cannot say what the gateway says to a modern upstream', () => {
    const meta = `{${CAPABILITIES}:{"sampling":{}},${INFO}:{},"io.modelcontextprotocol/logLevel":"debug","io.modelcontextprotocol/subscriptionId":1}`;
    assert.equal(
      rewrite(call(`{"_meta":${meta},"name":"s.search"}`), 'legacy', 'modern'),
      ours(`{"_meta":{${OWN_ENVELOPE},"io.modelcontextprotocol/subscriptionId":1},"name":"search"}`),
    );
  });

  test('keys written with escapes are known for what they are', () => {
    const meta = `{"io.modelcontextprotocol\\/clientCapabilities":{"a":1},"\\u0070rogressToken":"x",${VERSION}}`;
    assert.equal(
      rewrite(call(`{"\\u006eame":"s.se\\u0061rch","_meta":${meta}}`), 'modern', 'modern'),
      ours(
        `{"\\u006eame":"search","_meta":{"io.modelcontextprotocol\\/clientCapabilities":{},"\\u0070rogressToken":"${UPSTREAM_ID}",${VERSION}}}`,
      ),
    );
    assert.equal(
      rewrite(call(`{"name":"s.search","_meta":${meta}}`), 'modern', 'legacy'),
      ours(`{"name":"search","_meta":{"progressToken":"${UPSTREAM_ID}"}}`),
    );
  });

  test('without a progress token none is invented', () => {
    for (const [from, to] of PAIRS) {
      const meta = from === 'modern' ? `{${VERSION},${CAPABILITIES}:{}}` : '{"x":1}';
      assert.doesNotMatch(rewrite(call(`{"name":"s.search","_meta":${meta}}`), from, to), /progressToken/);
    }
  });
});

const PAIRS = [
  ['legacy', 'legacy'],
  ['legacy', 'modern'],
  ['modern', 'legacy'],
  ['modern', 'modern'],
] as const;

describe('bytes are sacred', () => {
  const odd = [
    '{"n":9007199254740993}',
    '{"n":1e400,"m":-1E+400}',
    '{"n":1.0,"m":1.10,"k":0e-0}',
    '{"n":-0}',
    '{"s":"\\u00e9\\/\\ud83d\\ude00 \\ud800"}',
    '{"z":1,"a":2,"10":3,"2":4}',
    '{"a":1,"a":2,"A":3}',
    '{"id":1,"name":"s.search","_meta":{"progressToken":7},"params":{"name":"x"}}',
    '{ "a" :\r\n\t[ 1 , 2 ] }',
    '{"é":"漢字 😀 \u2028"}',
    '{"__proto__":{"a":1},"constructor":null}',
    '{"long":123456789012345678901234567890.123456789}',
    '[1,2]',
    'null',
    '"text"',
  ];
  for (const value of odd) {
    test(`arguments ${JSON.stringify(value)} reach an upstream of either era as they are`, () => {
      for (const [from, to] of PAIRS) {
        const meta = from === 'modern' ? `{${VERSION},${CAPABILITIES}:{}}` : '{}';
        const text = rewrite(call(`{"name":"s.search","arguments": ${value} ,"_meta":${meta}}`), from, to);
        assert.ok(text.includes(`"arguments": ${value} ,"_meta"`), text);
        const sent = scan(text);
        assert.equal(rawText(sent.bytes, findMember(sent.params, 'arguments')!), value);
      }
    });
  }

  test('absent arguments stay absent', () => {
    for (const [from, to] of PAIRS) {
      const meta = from === 'modern' ? `{${VERSION},${CAPABILITIES}:{}}` : '{}';
      assert.doesNotMatch(rewrite(call(`{"name":"s.search","_meta":${meta}}`), from, to), /arguments/);
    }
  });

  test('a large call changes in no other place than a small one', () => {
    const value = `{"text":"${'é😀x'.repeat(20_000)}","n":1e400}`;
    assert.equal(
      rewrite(call(`{"arguments":${value},"name":"s.search"}`, '"é"'), 'legacy', 'legacy'),
      ours(`{"arguments":${value},"name":"search"}`),
    );
  });

  for (const id of ['0', '-0', '9007199254740993', '""', '"é😀"', '"a\\"b"', '"\\ud800"', `"${UPSTREAM_ID}"`]) {
    test(`the client's id ${id} never reaches the upstream`, () => {
      assert.equal(rewrite(call('{"name":"s.search"}', id), 'legacy', 'legacy'), ours('{"name":"search"}'));
    });
  }
  for (const token of ['0', '9007199254740993', '1.50', '"é"', '"a\\nb"', 'null', '{"a":[1]}']) {
    test(`the client's progress token ${token} never reaches the upstream`, () => {
      const text = call(`{"name":"s.search","_meta":{"progressToken": ${token} }}`);
      assert.equal(
        rewrite(text, 'legacy', 'legacy'),
        ours(`{"name":"search","_meta":{"progressToken": "${UPSTREAM_ID}" }}`),
      );
    });
  }
});

describe('properties', () => {
  const space = fc.constantFrom('', '', ' ', '\n', ' \r\n\t');
  const value = fc
    .tuple(fc.jsonValue(), fc.constantFrom(undefined, 1, '\t'))
    .map(([json, indent]) => JSON.stringify(json, null, indent));
  const rawValue = fc.oneof(value, fc.constantFrom('9007199254740993', '1e400', '-0', '"\\u0061"', '{"a":1,"a":2}'));
  const otherKey = fc.constantFrom('arguments', 'task', 'é', '__proto__', 'requestState', 'x');
  const metaKey = fc.constantFrom('traceparent', 'com.example/y', 'é', '__proto__', 'name');

  /** A place in a template: what the client wrote, and what the upstream must be sent instead. */
  interface Hole {
    readonly from: string;
    readonly to: string;
  }
  type Template = readonly (string | Hole)[];
  const fill = (template: Template, side: keyof Hole) =>
    template.map((part) => (typeof part === 'string' ? part : part[side])).join('');

  /** An object whose members come in any order with any white space. */
  function objectOf(members: readonly (readonly [key: string, value: Template])[]): fc.Arbitrary<Template> {
    return fc
      .tuple(fc.shuffledSubarray([...members], { minLength: members.length }), fc.infiniteStream(space))
      .map(([order, spaces]) => {
        const next = () => spaces.next().value ?? '';
        const parts = order.flatMap(([key, text], index) => [
          `${index > 0 ? ',' : ''}${next()}${JSON.stringify(key)}${next()}:${next()}`,
          ...text,
          next(),
        ]);
        return ['{', ...parts, '}'];
      });
  }

  const dictionary = (key: fc.Arbitrary<string>) =>
    fc.uniqueArray(fc.tuple(key, rawValue), { selector: ([name]) => name, maxLength: 4 });
  const oursQuoted = `"${UPSTREAM_ID}"`;
  const id = fc.oneof(
    fc.string().map((text) => JSON.stringify(text)),
    fc.bigInt().map(String),
  );

  function sameEraCall(era: Era): fc.Arbitrary<Template> {
    return fc
      .tuple(dictionary(otherKey), fc.option(dictionary(metaKey)), fc.option(id), id)
      .chain(([others, metaOthers, token, idText]) => {
        const meta: [string, Template][] = (metaOthers ?? []).map(([key, text]) => [key, [text]]);
        if (era === 'modern') {
          meta.push(['io.modelcontextprotocol/protocolVersion', ['"2026-07-28"']]);
          meta.push(['io.modelcontextprotocol/clientCapabilities', [{ from: '{"roots":{}}', to: '{}' }]]);
        }
        if (token !== null) meta.push(['progressToken', [{ from: token, to: oursQuoted }]]);
        return objectOf(meta).chain((metaTemplate) => {
          const params: [string, Template][] = others.map(([key, text]) => [key, [text]]);
          params.push(['name', [{ from: '"s.search"', to: '"search"' }]]);
          if (era === 'modern' || metaOthers !== null) params.push(['_meta', metaTemplate]);
          return objectOf(params).chain((paramsTemplate) =>
            objectOf([
              ['jsonrpc', ['"2.0"']],
              ['id', [{ from: idText, to: oursQuoted }]],
              ['method', ['"tools/call"']],
              ['params', paramsTemplate],
              ['x', ['{"id":1,"name":"s.search"}']],
            ]),
          );
        });
      });
  }

  for (const era of ['legacy', 'modern'] as const) {
    test(`within the ${era} era nothing changes but id, name, progress token and capabilities`, () => {
      fc.assert(
        fc.property(sameEraCall(era), (template) => {
          assert.equal(rewrite(fill(template, 'from'), era, era), fill(template, 'to'));
        }),
        { numRuns: 3000 },
      );
    });
  }

  test('between eras every value outside the envelope keeps its bytes, and the upstream reads a call of its own era', () => {
    for (const [from, to] of [
      ['legacy', 'modern'],
      ['modern', 'legacy'],
    ] as const) {
      fc.assert(
        fc.property(sameEraCall(from), (template) => {
          const before = scan(fill(template, 'from'));
          const after = scan(rewrite(fill(template, 'from'), from, to));
          const valuesOf = ({ bytes, params, meta }: Message) =>
            [...params, ...meta]
              .filter(({ key }) => !/^(?:io\.modelcontextprotocol\/|name$|_meta$|progressToken$)/.test(key))
              .map((member) => `${bytes.toString('utf8', member.keyStart, member.end)}`);
          assert.deepEqual(valuesOf(after), valuesOf(before));
          const headers =
            to === 'modern'
              ? { protocolVersion: '2026-07-28', method: 'tools/call', name: 'search' }
              : { protocolVersion: undefined, method: undefined, name: undefined };
          assert.equal(classify(after, headers).era, to);
          assert.equal(after.id && rawText(after.bytes, after.id), oursQuoted);
          const hasToken = findMember(before.meta, 'progressToken') !== undefined;
          const token = findMember(after.meta, 'progressToken');
          assert.equal(token && rawText(after.bytes, token), hasToken ? oursQuoted : undefined);
        }),
        { numRuns: 2000 },
      );
    }
  });
});
