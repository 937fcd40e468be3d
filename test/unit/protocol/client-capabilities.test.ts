import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type ClientCapabilities,
  capabilitiesText,
  capabilityClass,
  knownCapabilities,
  NO_CAPABILITIES,
  readCapabilityClass,
  readClientCapabilities,
  readEnvelopeCapabilities,
} from '../../../src/protocol/client-capabilities.ts';
import { LEGACY_REVISIONS, MODERN_REVISION } from '../../../src/protocol/era.ts';
import { scanMessage } from '../../../src/protocol/jsonrpc.ts';
import { assertIsMcp } from '../../support/mcp-schema.ts';

function read(text: string, revision: string = LEGACY_REVISIONS[0]): Partial<ClientCapabilities> {
  const bytes = Buffer.from(text);
  const capabilities = readClientCapabilities(bytes, { start: 0, end: bytes.length }, revision, true);
  return Object.fromEntries(Object.entries(capabilities).filter(([, isDeclared]) => isDeclared));
}

const REVISIONS: readonly string[] = [...LEGACY_REVISIONS, MODERN_REVISION];

const anyRevision = fc.constantFrom(...REVISIONS);
/** Capabilities as the protocol can say them: parts only with their whole, elicitation always with a mode. */
const anyCapabilities = fc
  .record({
    roots: fc.boolean(),
    rootsListChanged: fc.boolean(),
    sampling: fc.boolean(),
    samplingTools: fc.boolean(),
    samplingContext: fc.boolean(),
    elicitationForm: fc.boolean(),
    elicitationUrl: fc.boolean(),
    apps: fc.boolean(),
  })
  .map((c) => ({
    ...c,
    rootsListChanged: c.roots && c.rootsListChanged,
    samplingTools: c.sampling && c.samplingTools,
    samplingContext: c.sampling && c.samplingContext,
  }));

describe('what a client declares', () => {
  test('an elicitation without a mode is one by form', () => {
    assert.deepEqual(read('{"elicitation":{}}'), { elicitationForm: true });
    assert.deepEqual(read('{"elicitation":{}}', MODERN_REVISION), { elicitationForm: true });
    assert.deepEqual(read('{"elicitation":{"applyDefaults":true}}'), { elicitationForm: true });
  });

  test('modes are what is named', () => {
    assert.deepEqual(read('{"elicitation":{"form":{},"url":{}}}'), { elicitationForm: true, elicitationUrl: true });
    assert.deepEqual(read('{"elicitation":{"url":{}}}'), { elicitationUrl: true });
  });

  test('sampling has parts, roots may change', () => {
    assert.deepEqual(read('{ "sampling" : { "tools" : {"x":1} , "context":{}}, "roots":{"listChanged":true}}'), {
      roots: true,
      rootsListChanged: true,
      sampling: true,
      samplingTools: true,
      samplingContext: true,
    });
    assert.deepEqual(read('{"roots":{"listChanged":true}}', MODERN_REVISION), { roots: true });
  });

  test('what a revision does not know is not declared in it', () => {
    const all = '{"roots":{},"sampling":{"tools":{},"context":{}},"elicitation":{"url":{}}}';
    assert.deepEqual(read(all, '2025-06-18'), { roots: true, sampling: true, elicitationForm: true });
    assert.deepEqual(read(all, '2025-03-26'), { roots: true, sampling: true });
    assert.deepEqual(read(all, '2024-11-05'), { roots: true, sampling: true });
  });

  test('what is malformed, unknown or said twice is not declared', () => {
    for (const text of [
      '{}',
      '{"sampling":true,"roots":null,"elicitation":[]}',
      '{"Sampling":{}}',
      '{"sampling":{},"sampling":{}}',
      '{"tasks":{"requests":{}},"experimental":{"sampling":{}},"extensions":{}}',
      '[]',
      'null',
      '"sampling"',
    ]) {
      const bytes = Buffer.from(text);
      const capabilities = readClientCapabilities(bytes, { start: 0, end: bytes.length }, MODERN_REVISION, true);
      assert.equal(capabilities, NO_CAPABILITIES, text);
    }
    assert.deepEqual(read('{"sampling":{"tools":true}}'), { sampling: true });
    assert.deepEqual(read('{"roots":{"listChanged":"true"}}'), { roots: true });
  });

  test('MCP Apps are declared in a view, by a client that shows pages', () => {
    const apps = (types: string) => `{"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":${types}},"a/b":{}}}`;
    assert.deepEqual(read(apps('["text/x","text/html;profile=mcp-app"]')), { apps: true });
    assert.deepEqual(read(apps('["text/html"]')), {});
    const bytes = Buffer.from(apps('["text/html;profile=mcp-app"]'));
    const merged = readClientCapabilities(bytes, { start: 0, end: bytes.length }, MODERN_REVISION, false);
    assert.equal(merged, NO_CAPABILITIES);
  });

  test('no object is no capability', () => {
    assert.equal(readClientCapabilities(Buffer.from('{}'), undefined, MODERN_REVISION, true), NO_CAPABILITIES);
  });

  test('the envelope of a modern request is read', () => {
    const meta = '{"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"url":{}}}}';
    const message = scanMessage(
      Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":${meta}}}`),
    );
    assert.ok(message.kind !== 'fault');
    assert.equal(capabilityClass(readEnvelopeCapabilities(message, false)), 'u');
  });

  test('the same text gives the same object until too many others came', () => {
    const first = Buffer.from('{"sampling":{}}');
    const span = { start: 0, end: first.length };
    const before = readClientCapabilities(first, span, MODERN_REVISION, true);
    assert.equal(readClientCapabilities(Buffer.from(first), span, MODERN_REVISION, true), before);
    for (let index = 0; index < 1000; index++) read(`{"sampling":{},"x${index}":{}}`, MODERN_REVISION);
    assert.deepEqual(readClientCapabilities(first, span, MODERN_REVISION, true), before);
  });

  test('a text of any length is read', () => {
    assert.deepEqual(read(`{"experimental":{"x":"${'y'.repeat(100_000)}"},"sampling":{}}`), { sampling: true });
  });
});

test('what is declared to an upstream is read by it as what is known of it there', () => {
  fc.assert(
    fc.property(anyCapabilities, anyRevision, (capabilities, revision) => {
      const text = Buffer.from(capabilitiesText(capabilities, revision));
      const known = knownCapabilities(capabilities, revision);
      assert.deepEqual(readClientCapabilities(text, { start: 0, end: text.length }, revision, true), known);
    }),
  );
});

test('to a revision without modes an elicitation is declared without one', () => {
  const capabilities = { ...NO_CAPABILITIES, elicitationForm: true, elicitationUrl: true, samplingTools: true };
  assert.equal(capabilitiesText(capabilities, '2025-06-18'), '{"elicitation":{}}');
  assert.equal(capabilitiesText(capabilities, '2025-03-26'), '{}');
  assert.equal(capabilitiesText(capabilities, '2025-11-25'), '{"elicitation":{"form":{},"url":{}}}');
  assert.equal(capabilitiesText(NO_CAPABILITIES, MODERN_REVISION), '{}');
});

test('what is declared is of the schema of the revision', () => {
  for (const revision of ['2025-06-18', '2025-11-25', '2026-07-28'] as const) {
    fc.assert(
      fc.property(anyCapabilities, (capabilities) => {
        assertIsMcp(revision, 'ClientCapabilities', JSON.parse(capabilitiesText(capabilities, revision)));
      }),
      { numRuns: 30 },
    );
  }
});

describe('a class of capabilities', () => {
  test('says all of them and nothing else', () => {
    fc.assert(
      fc.property(anyCapabilities, (capabilities) => {
        assert.deepEqual(readCapabilityClass(capabilityClass(capabilities)), capabilities);
      }),
    );
    assert.equal(capabilityClass(NO_CAPABILITIES), '');
  });

  test('is not read from any other text', () => {
    for (const text of ['x', 'rr', 'sr', 'r ', 'R', 'rlstcfuu'])
      assert.equal(readCapabilityClass(text), undefined, text);
  });
});
