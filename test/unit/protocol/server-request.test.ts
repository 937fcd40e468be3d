import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type ClientCapabilities, NO_CAPABILITIES } from '../../../src/protocol/client-capabilities.ts';
import { withInputs } from '../../../src/protocol/input-required.ts';
import { type Message, scanMessage } from '../../../src/protocol/jsonrpc.ts';
import {
  clientError,
  errorMessage,
  type LiveRequest,
  readClientAnswer,
  readServerRequest,
  toClientRequest,
  toInputEntry,
  toUpstreamResponse,
} from '../../../src/protocol/server-request.ts';
import { assertIsMcp } from '../../support/mcp-schema.ts';

const ALL: ClientCapabilities = {
  roots: true,
  rootsListChanged: true,
  sampling: true,
  samplingTools: true,
  samplingContext: true,
  elicitationForm: true,
  elicitationUrl: true,
  apps: true,
};

function scan(text: string): Message {
  const message = scanMessage(Buffer.from(text));
  assert.ok(message.kind !== 'fault', `${text}: ${message.kind === 'fault' && message.message}`);
  return message;
}

function ask(method: string, params?: string, id = '7'): Message {
  return scan(`{"jsonrpc":"2.0","id":${id},"method":"${method}"${params === undefined ? '' : `,"params":${params}`}}`);
}

function read(message: Message, declared = ALL): LiveRequest {
  const request = readServerRequest(message, declared);
  assert.ok('method' in request, 'answer' in request ? request.answer.toString() : '');
  return request;
}

function refused(message: Message, declared = ALL): { id: unknown; error: { code: number; message: string } } {
  const request = readServerRequest(message, declared);
  assert.ok('answer' in request);
  return JSON.parse(request.answer.toString());
}

const FORM = '{"message":"Näme?","requestedSchema":{"type":"object","properties":{"n":{"type":"string"}}}}';
const URL_PARAMS = '{"mode":"url","url":"https://example.com/a","elicitationId":"e-1","message":"Open"}';
const SAMPLING = '{"messages":[{"role":"user","content":{"type":"text","text":"9007199254740993"}}],"maxTokens":1e2}';

describe('a request of a legacy upstream', () => {
  test('goes to a legacy client under another id, its params byte for byte', () => {
    for (const [method, params] of [
      ['elicitation/create', FORM],
      ['elicitation/create', URL_PARAMS],
      ['sampling/createMessage', SAMPLING],
      ['roots/list', '{ "_meta" : {"a":1.0} }'],
    ] as const) {
      assert.equal(
        toClientRequest(read(ask(method, params)), 'our-id').toString(),
        `{"jsonrpc":"2.0","id":"our-id","method":"${method}","params":${params}}`,
      );
    }
    assert.equal(
      toClientRequest(read(ask('roots/list')), 'x').toString(),
      '{"jsonrpc":"2.0","id":"x","method":"roots/list"}',
    );
  });

  test('is an entry of inputRequests, without what the modern form does not know', () => {
    const entry = (method: string, params?: string) => toInputEntry(read(ask(method, params)));
    assert.equal(
      Buffer.from(entry('elicitation/create', FORM), 'latin1').toString(),
      `{"method":"elicitation/create","params":${FORM}}`,
    );
    assert.equal(
      entry('elicitation/create', URL_PARAMS),
      '{"method":"elicitation/create","params":{"mode":"url","url":"https://example.com/a","message":"Open"}}',
    );
    assert.equal(entry('roots/list'), '{"method":"roots/list"}');
  });

  test('loses its progress token and its task, and nothing else', () => {
    const params = `{"task":{"ttl":1},"_meta":{"progressToken":3,"a/b":[1.0]},"mode":"form",${FORM.slice(1)}`;
    assert.equal(
      toClientRequest(read(ask('elicitation/create', params)), 'x').toString(),
      `{"jsonrpc":"2.0","id":"x","method":"elicitation/create","params":{"_meta":{"a/b":[1.0]},"mode":"form",${FORM.slice(1)}}`,
    );
    const last = '{"messages":[],"maxTokens":1,"_meta":{"a":1,"progressToken":"t"},"task":{}}';
    assert.equal(read(ask('sampling/createMessage', last)).params, '{"messages":[],"maxTokens":1,"_meta":{"a":1}}');
  });

  test('is answered at once when the client has not declared what it needs', () => {
    for (const [method, params, needs, code] of [
      ['elicitation/create', FORM, 'elicitationForm', -32602],
      ['elicitation/create', URL_PARAMS, 'elicitationUrl', -32602],
      ['sampling/createMessage', SAMPLING, 'sampling', -32601],
      ['sampling/createMessage', `{"tools":[],${SAMPLING.slice(1)}`, 'samplingTools', -32602],
      ['sampling/createMessage', `{"toolChoice":{},${SAMPLING.slice(1)}`, 'samplingTools', -32602],
      ['roots/list', '{}', 'roots', -32601],
    ] as const) {
      const message = ask(method, params);
      assert.equal(read(message, { ...NO_CAPABILITIES, [needs]: true }).needs, needs);
      const { id, error } = refused(message, { ...ALL, [needs]: false });
      assert.equal(id, 7);
      assert.equal(error.code, code);
      assert.match(error.message, /the client has not declared/);
    }
  });

  test('is answered at once when it is a ping, unknown or malformed', () => {
    assert.deepEqual(refused(ask('ping', undefined, '"ü"')), { jsonrpc: '2.0', id: 'ü', result: {} });
    assert.equal(refused(ask('tasks/get', '{}')).error.code, -32601);
    assert.equal(refused(ask('tools/call', '{"name":"x"}')).error.code, -32601);
    assert.equal(refused(ask('elicitation/create')).error.code, -32602);
    assert.equal(refused(ask('sampling/createMessage')).error.code, -32602);
    assert.equal(refused(ask('elicitation/create', '{"mode":"voice"}')).error.code, -32602);
    assert.equal(refused(ask('elicitation/create', '{"mode":1}')).error.code, -32602);
  });

  test('gets the answer of the client under its own id, whatever that is', () => {
    const answer = readClientAnswer(
      scan('{"jsonrpc":"2.0","id":"our-id","result":{"action":"accept","content":{"n":"ö"}}}'),
    );
    for (const id of ['7', '"7"', '-3', '"\\u00e4ä"', '9007199254740993']) {
      const { idText } = read(ask('elicitation/create', FORM, id));
      assert.equal(
        toUpstreamResponse(idText, answer).toString(),
        `{"jsonrpc":"2.0","id":${id},"result":{"action":"accept","content":{"n":"ö"}}}`,
      );
    }
  });
});

describe('the answer of a client', () => {
  const answerOf = (outcome: string) => readClientAnswer(scan(`{"jsonrpc":"2.0","id":"x",${outcome}}`));

  test('is passed on byte for byte, an error, too', () => {
    assert.deepEqual(answerOf('"result" : {"a": 1.0 }'), { kind: 'result', text: '{"a": 1.0 }' });
    const error = '{"code":-1,"message":"User rejected","data":{"x":1e400}}';
    assert.deepEqual(answerOf(`"error":${error}`), { kind: 'error', text: error });
    assert.equal(errorMessage(answerOf(`"error":${error}`)), 'User rejected');
  });

  test('that no upstream could read becomes an error of ours', () => {
    for (const outcome of [
      '"result":null',
      '"result":[]',
      '"error":"no"',
      '"error":{}',
      '"error":{"code":"1","message":"x"}',
    ]) {
      const { kind, text } = answerOf(outcome);
      assert.equal(kind, 'error', outcome);
      assertIsMcp('2025-11-25', 'Error', JSON.parse(text));
    }
  });

  test('is passed on as deep as it can be sent on', () => {
    const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
    for (const depth of [61, 62]) {
      const answer = answerOf(`"result":${nested(depth)}`);
      assert.equal(answer.kind, depth === 61 ? 'result' : 'error');
      const retry = withInputs(ask('tools/call', '{"name":"x"}'), `{"key":${nested(depth)}}`, undefined);
      assert.equal(scanMessage(retry).kind, depth === 61 ? 'request' : 'fault');
    }
  });

  test('given in its place is an error', () => {
    assert.equal(errorMessage(clientError('It took too long.')), 'It took too long.');
  });
});

describe('the schemas', () => {
  const anyParams = fc.oneof(
    fc.record({
      message: fc.string(),
      mode: fc.constant('form'),
      requestedSchema: fc.constant({ type: 'object', properties: {} }),
    }),
    fc.record({ message: fc.string(), requestedSchema: fc.constant({ type: 'object', properties: {} }) }),
    fc.record({
      message: fc.string(),
      mode: fc.constant('url'),
      url: fc.constant('https://example.com/'),
      elicitationId: fc.string(),
    }),
    fc.record({ message: fc.string(), mode: fc.constant('url'), url: fc.constant('https://example.com/') }),
  );

  test('admit every elicitation that is written, in both forms, and it says what it said', () => {
    fc.assert(
      fc.property(anyParams, (params) => {
        const request = read(ask('elicitation/create', JSON.stringify(params)));
        const legacy = JSON.parse(toClientRequest(request, 'id').toString());
        const modern = JSON.parse(Buffer.from(toInputEntry(request), 'latin1').toString());
        assertIsMcp('2025-11-25', 'ElicitRequest', legacy);
        assertIsMcp('2026-07-28', 'InputRequest', modern);
        const { elicitationId: given, ...rest } = params as { elicitationId?: string };
        const { elicitationId, ...told } = legacy.params;
        assert.deepEqual(modern.params, rest);
        assert.deepEqual(told, rest);
        if (given !== undefined) assert.equal(elicitationId, given);
      }),
    );
  });

  test('admit samplings and roots in both forms', () => {
    for (const [method, params, type] of [
      ['sampling/createMessage', SAMPLING, 'CreateMessageRequest'],
      ['roots/list', undefined, 'ListRootsRequest'],
    ] as const) {
      const request = read(ask(method, params));
      assertIsMcp('2025-11-25', type, JSON.parse(toClientRequest(request, 'id').toString()));
      assertIsMcp('2026-07-28', type, JSON.parse(toInputEntry(request)));
    }
  });
});
