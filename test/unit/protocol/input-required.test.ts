import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { NO_CAPABILITIES } from '../../../src/protocol/client-capabilities.ts';
import {
  type InputRequired,
  readInputRequired,
  readInputs,
  readUrlRequired,
  stateText,
  toInputRequired,
  toInputResponses,
  withInputs,
  withState,
} from '../../../src/protocol/input-required.ts';
import { type Message, scanMessage } from '../../../src/protocol/jsonrpc.ts';
import { findUndeclared, toClientRequest } from '../../../src/protocol/server-request.ts';
import { CODE_POINT } from '../../support/code-points.ts';
import { assertIsMcp } from '../../support/mcp-schema.ts';

const ID = 'Zk3-pQ_9aVbX0LmN7yTc2w';

function answer(result: string): Buffer {
  return Buffer.from(`{"jsonrpc":"2.0","id":"${ID}","result":${result}}`);
}

function read(result: string): InputRequired {
  const input = readInputRequired(answer(result), ID);
  assert.ok(input !== undefined && 'requests' in input, JSON.stringify(input));
  return input;
}

function problemOf(result: string): string {
  const input = readInputRequired(answer(result), ID);
  assert.ok(input !== undefined && 'problem' in input, result.slice(0, 100));
  return input.problem;
}

function scan(text: string): Message {
  const message = scanMessage(Buffer.from(text));
  assert.ok(message.kind !== 'fault', `${text}: ${message.kind === 'fault' && message.message}`);
  return message;
}

/** The example that the specification publishes. */
const EXAMPLE = `{
  "resultType": "input_required",
  "inputRequests": {
    "github_login": {
      "method": "elicitation/create",
      "params": {
        "message": "Please provide your GitHub username",
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
      }
    },
    "capital_of_france": {
      "method": "sampling/createMessage",
      "params": {
        "messages": [{"role": "user", "content": {"type": "text", "text": "What is the capital of France?"}}],
        "maxTokens": 100
      }
    }
  },
  "requestState": "eyJsb2NhdGlvbiI6Ik5ldyBZb3JrIn0"
}`;
const URL_ENTRY = '{"method":"elicitation/create","params":{"mode":"url","message":"m","url":"https://a.example/"}}';

describe('an input_required answer of an upstream', () => {
  test('is read: what is asked, of whom, and where its state is', () => {
    const input = read(EXAMPLE);
    assert.deepEqual(
      input.requests.map(({ key, request }) => [key, request.method, request.needs]),
      [
        ['github_login', 'elicitation/create', 'elicitationForm'],
        ['capital_of_france', 'sampling/createMessage', 'sampling'],
      ],
    );
    assert.equal(stateText(input), '"eyJsb2NhdGlvbiI6Ik5ldyBZb3JrIn0"');
    const asked = toClientRequest(input.requests[1]!.request, 'x');
    assertIsMcp('2025-11-25', 'CreateMessageRequest', JSON.parse(asked.toString()));
  });

  test('may have a state alone, or requests alone', () => {
    assert.deepEqual(read('{"resultType":"input_required","requestState":""}').requests, []);
    assert.equal(stateText(read(`{"resultType":"input_required","inputRequests":{"a":${URL_ENTRY}}}`)), undefined);
  });

  test('is one however its type is escaped', () => {
    assert.equal(stateText(read('{"resultType":"input\\u005frequired","requestState":"s"}')), '"s"');
  });

  test('keeps every byte but its state when that is replaced', () => {
    const input = read(EXAMPLE);
    assert.equal(
      withState(input, 'sealed').toString(),
      answer(EXAMPLE.replace('eyJsb2NhdGlvbiI6Ik5ldyBZb3JrIn0', 'sealed')).toString(),
    );
    const stateless = read(`{"resultType":"input_required","inputRequests":{"a":${URL_ENTRY}}}`);
    assert.equal(withState(stateless, 'sealed'), stateless.bytes);
  });

  test('is told from every other answer', () => {
    for (const bytes of [
      answer('{"resultType":"complete","content":[{"type":"text","text":"input_required"}]}'),
      answer('{"content":["input_required"]}'),
      answer('"input_required"'),
      Buffer.from(`{"jsonrpc":"2.0","id":"other","result":${EXAMPLE}}`),
      Buffer.from(`{"jsonrpc":"2.0","id":"${ID}","result":${EXAMPLE},"error":{}}`),
      Buffer.from(`{"jsonrpc":"2.0","id":"${ID}","method":"x","result":${EXAMPLE}}`),
      Buffer.from(`{"jsonrpc":"2.0","id":"${ID}","error":{"resultType":"input_required"}}`),
      answer(EXAMPLE).subarray(0, -1),
      Buffer.concat([answer(EXAMPLE), answer(EXAMPLE)]),
    ]) {
      assert.equal(readInputRequired(bytes, ID), undefined, bytes.toString().slice(0, 120));
    }
  });

  test('that breaks the rules is named a problem', () => {
    const of = (members: string) => problemOf(`{"resultType":"input_required"${members}}`);
    assert.match(of(''), /neither requests nor a state/);
    assert.match(of(',"inputRequests":{}'), /neither/);
    assert.match(of(',"requestState":1'), /no string/);
    assert.match(of(`,"requestState":"${'x'.repeat(1024 * 1024)}"`), /too long/);
    assert.match(of(',"inputRequests":[]'), /no object/);
    assert.match(of(',"inputRequests":{"a":1}'), /is no object/);
    assert.match(of(',"inputRequests":{"a":{}}'), /no method/);
    assert.match(of(',"inputRequests":{"a":{"method":"tools/call","params":{}}}'), /unknown method "tools\/call"/);
    assert.match(of(',"inputRequests":{"a":{"method":"elicitation/create"}}'), /no params/);
    assert.match(of(`,"inputRequests":{"a":${URL_ENTRY},"\\u0061":${URL_ENTRY}}`), /a key twice/);
    assert.match(of(`,"inputRequests":{"a":{"method":"roots/list","method":"roots/list"}}`), /something twice/);
    const many = Array.from({ length: 33 }, (_, index) => `"k${index}":${URL_ENTRY}`);
    assert.match(of(`,"inputRequests":{${many.join(',')}}`), /more than 32/);
    assert.equal(
      read(`{"resultType":"input_required","inputRequests":{${many.slice(1).join(',')}}}`).requests.length,
      32,
    );
    const invalid = Buffer.from(answer('{"resultType":"input_required","requestState":"\u00ff"}').toString(), 'latin1');
    assert.deepEqual(readInputRequired(invalid, ID), { problem: 'its text is not valid UTF-8' });
  });

  test('names what the client has not declared', () => {
    const requests = read(EXAMPLE).requests.map(({ request }) => request);
    const both = { ...NO_CAPABILITIES, sampling: true, elicitationForm: true };
    assert.equal(findUndeclared(requests, both), undefined);
    assert.match(findUndeclared(requests, { ...both, sampling: false })?.[1] ?? '', /sampling/);
    assert.match(findUndeclared(requests, { ...both, elicitationForm: false })?.[1] ?? '', /form/);
  });
});

test('what the gateway writes is of the schema, and is read as what was asked', () => {
  const { requests } = read(EXAMPLE);
  const written = toInputRequired(Buffer.from('"client-ü"').toString('latin1'), requests, 'sealed');
  const { id, result } = JSON.parse(written.toString());
  assertIsMcp('2026-07-28', 'InputRequiredResult', result);
  assert.equal(id, 'client-ü');
  assert.deepEqual(result, { ...JSON.parse(EXAMPLE), requestState: 'sealed' });
  const stateless = JSON.parse(toInputRequired('1', requests, undefined).toString());
  assert.equal('requestState' in stateless.result, false);
});

describe('the answers in a retry', () => {
  const retry = (params: string) =>
    scan(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"${params}}}`);
  const RESULT = '{"action":"accept", "content":{"n":9007199254740993}}';

  test('are read byte for byte, the state decoded', () => {
    assert.deepEqual(readInputs(retry(`,"inputResponses":{"a\\n":${RESULT}},"requestState":"s\\u0041"`)), {
      responses: [{ key: 'a\n', text: RESULT }],
      state: 'sA',
    });
    assert.deepEqual(readInputs(retry('')), { responses: undefined, state: undefined });
    assert.deepEqual(readInputs(retry(',"inputResponses":{}')), { responses: [], state: undefined });
  });

  test('must be results under keys', () => {
    for (const params of [
      ',"inputResponses":[]',
      ',"inputResponses":null',
      ',"inputResponses":{"a":1}',
      ',"inputResponses":{"a":{},"a":{}}',
      `,"inputResponses":{${Array.from({ length: 33 }, (_, index) => `"${index}":{}`).join(',')}}`,
    ]) {
      const inputs = readInputs(retry(params));
      assert.ok('problem' in inputs && inputs.problem.startsWith('params.inputResponses must be'), params);
    }
    assert.deepEqual(readInputs(retry(',"requestState":1')), { problem: 'params.requestState must be a string.' });
  });

  test('take the place of former ones in the request, which stays the bytes it was', () => {
    const put = (params: string, responses?: string, state?: string) =>
      withInputs(
        scan(`{"id":1,"jsonrpc":"2.0","method":"tools/call","params":${params}}`),
        responses,
        state,
      ).toString();
    const call = (params: string) => `{"id":1,"jsonrpc":"2.0","method":"tools/call","params":${params}}`;
    assert.equal(
      put('{ "name":"x", "arguments":{"a":1.0} }', '{"a":{}}', '"s"'),
      call('{"inputResponses":{"a":{}},"requestState":"s", "name":"x", "arguments":{"a":1.0} }'),
    );
    assert.equal(
      put('{"requestState":"old","name":"x","inputResponses":{"b":{}}}', '{"a":{}}', '"s"'),
      call('{"inputResponses":{"a":{}},"requestState":"s","name":"x"}'),
    );
    assert.equal(put('{"name":"x","requestState":"old"}', '{"a":{}}'), call('{"inputResponses":{"a":{}},"name":"x"}'));
    assert.equal(put('{"inputResponses":{},"name":"x","requestState":"old"}'), call('{"name":"x"}'));
    assert.equal(put('{"inputResponses":{}}', undefined, '"s"'), call('{"requestState":"s"}'));
    assert.equal(put('{"inputResponses":{}}'), call('{}'));
  });

  test('are written so that they are read back, whatever the keys', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: CODE_POINT }), { maxLength: 32 }), fc.string(), (keys, state) => {
        const written = toInputResponses(keys.map((key) => ({ key, text: RESULT })));
        const bytes = withInputs(retry(',"requestState":"old"'), written, JSON.stringify(state));
        const message = scanMessage(bytes);
        assert.ok(message.kind !== 'fault', message.kind === 'fault' ? message.message : '');
        const inputs = readInputs(message);
        assert.ok('responses' in inputs);
        assert.deepEqual(
          inputs.responses?.map(({ key }) => key),
          keys.map((key) => key.toWellFormed()),
        );
        assertIsMcp('2026-07-28', 'InputResponses', JSON.parse(Buffer.from(written, 'latin1').toString()));
      }),
      { numRuns: 25 },
    );
  });
});

describe('an error -32042 of a legacy upstream', () => {
  const error = (elicitations: string, code = '-32042') =>
    Buffer.from(
      `{"jsonrpc":"2.0","id":"${ID}","error":{"code":${code},"message":"m","data":{"elicitations":${elicitations}}}}`,
    );
  const ELICITATION = '{"mode":"url","elicitationId":"e","url":"https://a.example/?x=%C3%A4","message":"Öffnen"}';

  test('becomes URL elicitations of an input_required answer', () => {
    const requests = readUrlRequired(error(`[${ELICITATION}]`), ID);
    assert.ok(requests !== undefined);
    const asked = toInputRequired('1', [{ key: 'url-1', request: requests[0]! }], undefined);
    const { result } = JSON.parse(asked.toString());
    assertIsMcp('2026-07-28', 'InputRequiredResult', result);
    assert.deepEqual(result.inputRequests['url-1'].params, {
      mode: 'url',
      url: 'https://a.example/?x=%C3%A4',
      message: 'Öffnen',
    });
  });

  test('without elicitations by URL is an error like any other', () => {
    for (const bytes of [
      error('[]'),
      error('{}'),
      error('[1]'),
      error('[{"mode":"form","message":"m","requestedSchema":{}}]'),
      error(`[${ELICITATION},{}]`),
      error(`[${Array.from({ length: 33 }, () => ELICITATION).join(',')}]`),
      error(`[${ELICITATION}]`, '-32043'),
      Buffer.from(`{"jsonrpc":"2.0","id":"${ID}","error":{"code":-32042,"message":"m"}}`),
      Buffer.from(`{"jsonrpc":"2.0","id":"${ID}","error":{"code":-32042,"message":"m","data":[]}}`),
      Buffer.from(`{"jsonrpc":"2.0","id":"${ID}","error":-32042}`),
    ]) {
      assert.equal(readUrlRequired(bytes, ID), undefined, bytes.toString().slice(0, 150));
    }
  });
});
