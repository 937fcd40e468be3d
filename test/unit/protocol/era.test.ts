import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ERRORS } from '../../../src/domain/errors.ts';
import { classify, LEGACY_REVISIONS, type McpHeaders } from '../../../src/protocol/era.ts';
import { decodeHeaderValue } from '../../../src/protocol/header-value.ts';
import { scanMessage } from '../../../src/protocol/jsonrpc.ts';
import { CODE_POINT } from '../../support/code-points.ts';

const MODERN = '2026-07-28';
const ENVELOPE = envelope();

/** `_meta` of a modern request, with what the test changes. */
function envelope(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientCapabilities': {},
    ...changes,
  };
}

function verdict(message: object, headers: Partial<McpHeaders> = {}): string {
  const scanned = scanMessage(Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message })));
  assert.ok(scanned.kind !== 'fault', scanned.kind === 'fault' ? scanned.message : '');
  const result = classify(scanned, { protocolVersion: undefined, method: undefined, name: undefined, ...headers });
  if (result.era !== 'refused') return `${result.era} ${result.revision}`;
  const { status, jsonRpcCode } = ERRORS[result.code];
  assert.match(result.message, /^[\x20-\x7e]{20,400}$/);
  return `${status} ${jsonRpcCode}`;
}

function request(method: string, params?: object): object {
  return { id: 1, method, ...(params === undefined ? {} : { params }) };
}

const headersOf = (method: string, name?: string): Partial<McpHeaders> => ({ protocolVersion: MODERN, method, name });

describe('the ladder: a message with an envelope', () => {
  const rows: readonly [title: string, message: object, headers: Partial<McpHeaders>, expected: string][] = [
    [
      'a well-formed one is modern',
      request('tools/list', { _meta: ENVELOPE }),
      headersOf('tools/list'),
      `modern ${MODERN}`,
    ],
    [
      'a call is modern',
      request('tools/call', { name: 'a.b', _meta: ENVELOPE }),
      headersOf('tools/call', 'a.b'),
      `modern ${MODERN}`,
    ],
    [
      'a prompt is modern',
      request('prompts/get', { name: 'a', _meta: ENVELOPE }),
      headersOf('prompts/get', 'a'),
      `modern ${MODERN}`,
    ],
    [
      'a resource is modern',
      request('resources/read', { uri: 'a:b', _meta: ENVELOPE }),
      headersOf('resources/read', 'a:b'),
      `modern ${MODERN}`,
    ],
    [
      'initialize is modern, where no such method exists',
      request('initialize', { _meta: ENVELOPE }),
      headersOf('initialize'),
      `modern ${MODERN}`,
    ],
    ['an unknown method is modern', request('no/such', { _meta: ENVELOPE }), headersOf('no/such'), `modern ${MODERN}`],
    [
      'a notification is modern, whatever its headers',
      { method: 'notifications/cancelled', params: { _meta: ENVELOPE } },
      {},
      `modern ${MODERN}`,
    ],
    [
      'client info that is an object is read',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/clientInfo': {} }) }),
      headersOf('a'),
      `modern ${MODERN}`,
    ],
    [
      'a name where no header mirrors one is free',
      request('tools/list', { name: 'a', _meta: ENVELOPE }),
      headersOf('tools/list', 'b'),
      `modern ${MODERN}`,
    ],

    [
      'a version that is no string',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/protocolVersion': 1 }) }),
      headersOf('a'),
      '400 -32602',
    ],
    [
      'a version that is null',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/protocolVersion': null }) }),
      {},
      '400 -32602',
    ],
    [
      'missing capabilities',
      request('a', { _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN } }),
      headersOf('a'),
      '400 -32602',
    ],
    [
      'capabilities that are an array',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/clientCapabilities': [] }) }),
      headersOf('a'),
      '400 -32602',
    ],
    [
      'capabilities that are null',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/clientCapabilities': null }) }),
      headersOf('a'),
      '400 -32602',
    ],
    [
      'client info that is a string',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/clientInfo': 'x' }) }),
      headersOf('a'),
      '400 -32602',
    ],
    [
      'a broken envelope is never legacy',
      request('initialize', { protocolVersion: '2025-11-25', _meta: { 'io.modelcontextprotocol/protocolVersion': 7 } }),
      {},
      '400 -32602',
    ],

    [
      'a version to come',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/protocolVersion': '2027-01-01' }) }),
      { ...headersOf('a'), protocolVersion: '2027-01-01' },
      '400 -32022',
    ],
    [
      'a legacy version',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/protocolVersion': '2025-11-25' }) }),
      { ...headersOf('a'), protocolVersion: '2025-11-25' },
      '400 -32022',
    ],
    [
      'an empty version',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/protocolVersion': '' }) }),
      { ...headersOf('a'), protocolVersion: '' },
      '400 -32022',
    ],
    [
      'an unknown version comes before missing headers',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/protocolVersion': 'x' }) }),
      {},
      '400 -32022',
    ],
    [
      'an unknown version in a notification',
      { method: 'a', params: { _meta: envelope({ 'io.modelcontextprotocol/protocolVersion': 'x' }) } },
      {},
      '400 -32022',
    ],

    [
      'an unknown version that the header does not say',
      request('a', { _meta: envelope({ 'io.modelcontextprotocol/protocolVersion': '2027-01-01' }) }),
      headersOf('a'),
      '400 -32020',
    ],
    ['no headers at all', request('a', { _meta: ENVELOPE }), {}, '400 -32020'],
    ['no version header', request('a', { _meta: ENVELOPE }), { method: 'a' }, '400 -32020'],
    [
      'a legacy version header',
      request('a', { _meta: ENVELOPE }),
      { protocolVersion: '2025-11-25', method: 'a' },
      '400 -32020',
    ],
    ['no method header', request('a', { _meta: ENVELOPE }), { protocolVersion: MODERN }, '400 -32020'],
    [
      'another method header',
      request('tools/call', { name: 'a', _meta: ENVELOPE }),
      headersOf('tools/list', 'a'),
      '400 -32020',
    ],
    [
      'a method header in another case',
      request('tools/call', { name: 'a', _meta: ENVELOPE }),
      headersOf('TOOLS/CALL', 'a'),
      '400 -32020',
    ],
    ['no name header', request('tools/call', { name: 'a', _meta: ENVELOPE }), headersOf('tools/call'), '400 -32020'],
    [
      'another name header',
      request('tools/call', { name: 'a', _meta: ENVELOPE }),
      headersOf('tools/call', 'b'),
      '400 -32020',
    ],
    [
      'a name header in another case',
      request('tools/call', { name: 'a', _meta: ENVELOPE }),
      headersOf('tools/call', 'A'),
      '400 -32020',
    ],
    [
      'no URI header',
      request('resources/read', { uri: 'a:b', _meta: ENVELOPE }),
      headersOf('resources/read'),
      '400 -32020',
    ],
    [
      'the name as URI header',
      request('resources/read', { uri: 'a:b', name: 'x', _meta: ENVELOPE }),
      headersOf('resources/read', 'x'),
      '400 -32020',
    ],
    ['a missing name', request('tools/call', { _meta: ENVELOPE }), headersOf('tools/call', 'a'), '400 -32602'],
    [
      'a name that is no string',
      request('tools/call', { name: 1, _meta: ENVELOPE }),
      headersOf('tools/call', '1'),
      '400 -32602',
    ],
    [
      'capabilities come before headers',
      request('a', { _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN } }),
      {},
      '400 -32602',
    ],
  ];
  for (const [title, message, headers, expected] of rows) {
    test(`${title}: ${expected}`, () => assert.equal(verdict(message, headers), expected));
  }

  test('an unsupported version is told what is served', () => {
    const message = scanMessage(
      Buffer.from(
        JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'a',
          params: { _meta: envelope({ 'io.modelcontextprotocol/protocolVersion': '2027-01-01' }) },
        }),
      ),
    );
    assert.ok(message.kind === 'request');
    const result = classify(message, { protocolVersion: undefined, method: undefined, name: undefined });
    assert.deepEqual(result.era === 'refused' && result.data, { supported: [MODERN], requested: '2027-01-01' });
  });
});

describe('the ladder: a message without an envelope', () => {
  const initialize = request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} });
  const rows: readonly [title: string, message: object, headers: Partial<McpHeaders>, expected: string][] = [
    ['initialize is legacy', initialize, {}, 'legacy 2025-03-26'],
    ['a request without a version header is legacy', request('tools/list'), {}, 'legacy 2025-03-26'],
    ['a notification is legacy', { method: 'notifications/initialized' }, {}, 'legacy 2025-03-26'],
    ['a response is legacy', { id: 1, result: {} }, { protocolVersion: '2025-06-18' }, 'legacy 2025-06-18'],
    ['an error is legacy', { id: 1, error: { code: 1, message: 'm' } }, {}, 'legacy 2025-03-26'],
    [
      'a response under a modern header has no request',
      { id: 1, result: {} },
      { protocolVersion: MODERN },
      '400 -32600',
    ],
    [
      'the other modern headers alone change nothing',
      request('tools/list'),
      { method: 'tools/call', name: 'x' },
      'legacy 2025-03-26',
    ],
    [
      'an envelope key other than the version is none',
      request('a', { _meta: { 'io.modelcontextprotocol/clientCapabilities': {} } }),
      {},
      'legacy 2025-03-26',
    ],
    [
      'a request under a modern header names what is missing',
      request('tools/list'),
      { protocolVersion: MODERN },
      '400 -32602',
    ],
    [
      'so does one with a progress token only',
      request('tools/list', { _meta: { progressToken: 1 } }),
      { protocolVersion: MODERN },
      '400 -32602',
    ],
    ['so does one under a version to come', request('tools/list'), { protocolVersion: '2027-01-01' }, '400 -32602'],
    [
      'a notification under a modern header is modern',
      { method: 'notifications/initialized' },
      { protocolVersion: MODERN },
      `modern ${MODERN}`,
    ],
    ['initialize under a modern header is a contradiction', initialize, { protocolVersion: MODERN }, '400 -32020'],
    ['an unknown old version header', request('tools/list'), { protocolVersion: '2025-01-01' }, '400 -32600'],
    ['an empty version header', request('tools/list'), { protocolVersion: '' }, '400 -32600'],
    ['two version headers in one', request('tools/list'), { protocolVersion: '2025-11-25, 2025-06-18' }, '400 -32600'],
    ['a version header with a space', request('tools/list'), { protocolVersion: '2025-11-25 ' }, '400 -32600'],
  ];
  for (const [title, message, headers, expected] of rows) {
    test(`${title}: ${expected}`, () => assert.equal(verdict(message, headers), expected));
  }
  for (const revision of LEGACY_REVISIONS) {
    test(`a request of revision ${revision} is legacy`, () => {
      assert.equal(verdict(request('tools/list'), { protocolVersion: revision }), `legacy ${revision}`);
    });
  }
});

describe('Mcp-Name', () => {
  const encode = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`;
  const called = (name: string, header: string) =>
    verdict(request('tools/call', { name, _meta: ENVELOPE }), headersOf('tools/call', header));

  for (const name of [
    'a',
    'a.b_c-1',
    'é',
    '漢字',
    '😀',
    '',
    ' a ',
    '=?base64?YQ==?=',
    'a\nb',
    'a\u0000b',
    'x'.repeat(5000),
    '=?base64?=',
  ]) {
    test(`${JSON.stringify(name.slice(0, 20))} is read from base64`, () => {
      assert.equal(decodeHeaderValue(encode(name)), name);
      assert.equal(called(name, encode(name)), `modern ${MODERN}`);
    });
  }

  const literal = [
    '=?BASE64?YQ==?=',
    '=?Base64?YQ==?=',
    '=?base64?YQ==',
    '=?base64?YQ==?',
    'x=?base64?YQ==?=',
    '=?base64?YQ==?=x',
    '=?utf-8?b?YQ==?=',
    '=?base64?=',
    '=?base64?',
    '?=',
    'YQ==',
  ];
  for (const header of literal) {
    test(`${header} is no sentinel and stands for itself`, () => {
      assert.equal(decodeHeaderValue(header), header);
      assert.equal(called(header, header), `modern ${MODERN}`);
    });
  }

  const bad: readonly [title: string, header: string, name: string][] = [
    ['missing padding', '=?base64?YQ?=', 'a'],
    ['short padding', '=?base64?YQ=?=', 'a'],
    ['long padding', '=?base64?YQ===?=', 'a'],
    ['stray bits behind the end', '=?base64?YR==?=', 'a'],
    ['a URL-safe alphabet', '=?base64?w7_Dvw==?=', 'ÿÿ'],
    ['a space inside', '=?base64?Y Q==?=', 'a'],
    ['a line break inside', '=?base64?YW\nJj?=', 'abc'],
    ['a character outside the alphabet', '=?base64?YQ!=?=', 'a'],
    ['text behind the padding', '=?base64?YQ==YQ==?=', 'aa'],
    ['bytes that are not UTF-8', '=?base64?/w==?=', '\ufffd'],
    ['a surrogate in UTF-8', '=?base64?7aCA?=', '\ufffd\ufffd\ufffd'],
    ['a sentinel in a sentinel', encode(encode('a')), 'a'],
  ];
  for (const [title, header, name] of bad) {
    test(`${title} is a mismatch`, () => assert.equal(called(name, header), '400 -32020'));
  }

  test('a name that looks like a sentinel must be encoded', () => {
    assert.equal(called('=?base64?YQ==?=', '=?base64?YQ==?='), '400 -32020');
  });
  test('the empty name needs the empty header', () => {
    assert.equal(called('', ''), `modern ${MODERN}`);
    assert.equal(called('', '=?base64?='), '400 -32020');
    assert.equal(called('', '=?base64??='), `modern ${MODERN}`);
  });
  test('a header in raw UTF-8, as Node reads it, is a mismatch', () => {
    assert.equal(called('é', Buffer.from('é').toString('latin1')), '400 -32020');
  });

  test('what is compared is the decoded name, not how the body spells it', () => {
    const scanned = (spelling: string) =>
      scanMessage(
        Buffer.from(
          `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":${spelling},"_meta":${JSON.stringify(ENVELOPE)}}}`,
        ),
      );
    const classified = (spelling: string, name: string) => {
      const message = scanned(spelling);
      assert.ok(message.kind === 'request');
      return classify(message, { protocolVersion: MODERN, method: 'tools/call', name }).era;
    };
    assert.equal(classified('"\\u0061b"', 'ab'), 'modern');
    assert.equal(classified('"a\\u0062"', 'a\\u0062'), 'refused');
    assert.equal(classified('"a\\/b"', 'a/b'), 'modern');
    assert.equal(classified('"a\\/b"', 'a\\/b'), 'refused');
    assert.equal(classified('"a\\\\b"', 'a\\b'), 'modern');
  });

  test('only a header that stands for the name agrees with it', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 6 }),
      fc.string({ unit: CODE_POINT, maxLength: 4 }),
      fc.constantFrom('=?base64?', '?='),
    );
    const name = fc.array(text, { maxLength: 3 }).map((parts) => parts.join('').toWellFormed());
    fc.assert(
      fc.property(name, name, (own, other) => {
        assert.equal(called(own, encode(own)), `modern ${MODERN}`);
        const stands = decodeHeaderValue(other) === own;
        assert.equal(called(own, other), stands ? `modern ${MODERN}` : '400 -32020');
        if (own !== other) assert.equal(called(own, encode(other)), '400 -32020');
      }),
      { numRuns: 3000 },
    );
  });
});
