import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManagementDoor } from '../../../src/control-plane/management-mcp.ts';
import { NOTHING, read } from '../../../src/control-plane/operation.ts';
import { createPerform, type PerformDeps } from '../../../src/control-plane/perform.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';

const OPERATOR = { kind: 'operator', accountId: DEFAULT_ACCOUNT, keyId: 'key_1', name: 'ops', role: 'owner' } as const;

test('a failure of our own is logged, and told without its words', async () => {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', destination: { write: (line: string) => void lines.push(line) } });
  const fails = read({
    name: 'exportConfig',
    tag: 'decisions',
    summary: 'Fails.',
    method: 'get',
    path: '/export',
    role: 'viewer',
    query: NOTHING,
    body: NOTHING,
    view: NOTHING,
    run: () => Promise.reject(new TypeError('canary')),
  });
  const perform = createPerform({} as PerformDeps);
  const door = createManagementDoor({ operations: [fails], perform, configSchema: {}, log });
  const ask = async (method: string, params: object) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const headers = { 'content-type': 'application/json' };
    const answer = await door(new Request('http://127.0.0.1/admin/mcp', { method: 'POST', headers, body }), OPERATOR);
    return answer.text();
  };
  const called = JSON.parse(await ask('tools/call', { name: 'generate-config' }));
  assert.equal(called.result.isError, true);
  assert.match(called.result.content[0].text, /The gateway failed on this call/);
  const resource = await ask('resources/read', { uri: 'switchboard://config.yaml' });
  assert.match(resource, /cannot be read now/);
  const logged = lines.join('');
  assert.doesNotMatch(JSON.stringify(called) + resource + logged, /canary/);
  assert.equal(logged.match(/management call failed/g)?.length, 2);
});
