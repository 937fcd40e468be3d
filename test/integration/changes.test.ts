// A write is done once, about the revision it was meant for, recorded, and can be taken back.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Operator, operatorOf } from '../support/operator.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

let gateway: TestGateway;
let upstream: RecordingUpstream;
let owner: Operator;
let nowMs = Date.UTC(2026, 10, 21);

before(async () => {
  upstream = await startRecordingUpstream({ era: 'legacy' });
  gateway = await startGateway({
    configs: [{ name: 'declared', url: upstream.url }],
    settings: { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } },
    now: () => nowMs,
  });
  owner = operatorOf(gateway.url, gateway.apiKey);
});

after(async () => {
  await gateway.close();
  await upstream.close();
});

let names = 0;
async function makeConfig(more: object = {}) {
  const body = { name: `made${++names}`, endpoint: upstream.url, allowed_tools: ['*'], ...more };
  return (await owner.post('/v1/mcp-configs', body)).body;
}

const statusOfCall = async (token: string) => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  return (await fetch(gateway.mcpUrl, { method: 'POST', headers, body })).status;
};

suite('If-Match', () => {
  test('is the ETag of what was read, and lets the write through', async () => {
    const { id } = await makeConfig();
    const { headers } = await owner.get(`/v1/mcp-configs/${id}`);
    assert.equal(headers.get('etag'), '"1"');
    const written = await owner.post(`/v1/mcp-configs/${id}`, { description: 'a' }, { 'if-match': '"1"' });
    assert.deepEqual([written.status, written.body.revision, written.headers.get('etag')], [200, 2, '"2"']);
  });

  test('of another revision refuses update, delete and revoke, names the revision there is, and changes nothing', async () => {
    const { id } = await makeConfig();
    const token = (await owner.post('/v1/mcp-tokens', { name: `t${id}`, grants: [] })).body;
    for (const path of [`/v1/mcp-configs/${id}`, `/v1/mcp-configs/${id}/delete`, `/v1/mcp-tokens/${token.id}/revoke`]) {
      const { status, body } = await owner.post(path, { description: 'b' }, { 'if-match': '"7"' });
      assert.deepEqual([status, body.code], [412, 'revision_mismatch'], path);
      assert.match(body.message, /is at revision 1, and this request is about 7/);
    }
    assert.equal((await owner.get(`/v1/mcp-configs/${id}`)).body.description, null);
  });

  test('that is no ETag, or comes with what has none, is refused', async () => {
    const { id } = await makeConfig();
    for (const tag of ['x', 'W/"x"', 'W/1', 'w/"1"', '"1', '""', '"1",']) {
      assert.equal((await owner.post(`/v1/mcp-configs/${id}`, {}, { 'if-match': tag })).status, 400, tag);
    }
    // What a proxy that compresses makes of an ETag is compared strongly (RFC 9110 §13.1.1).
    for (const tag of ['W/"1"', 'W/"1", W/"2"']) {
      const { status, body } = await owner.post(`/v1/mcp-configs/${id}`, { description: 'w' }, { 'if-match': tag });
      assert.deepEqual([status, body.code], [412, 'revision_mismatch'], tag);
      assert.match(body.message, /weak ETag/);
    }
    assert.equal((await owner.post(`/v1/mcp-configs/${id}`, {}, { 'if-match': 'W/"7", "1"' })).status, 200);
    assert.equal((await owner.post('/v1/secrets', { name: 'NEW', value: 'x' }, { 'if-match': '"1"' })).status, 412);
    assert.equal((await owner.get('/v1/secrets/NEW')).status, 404);
    assert.equal((await owner.post(`/v1/mcp-configs/${id}`, {}, { 'if-match': '*' })).status, 200);
  });

  test('of two writers with the same one, exactly one wins', async () => {
    const { id } = await makeConfig();
    const write = (description: string) => owner.post(`/v1/mcp-configs/${id}`, { description }, { 'if-match': '"1"' });
    const statuses = (await Promise.all(['a', 'b', 'c'].map(write))).map(({ status }) => status);
    assert.deepEqual(statuses.toSorted(), [200, 412, 412]);
  });
});

suite('a request that is sent again with its x-request-id', () => {
  const body = () => ({ name: `once${++names}`, endpoint: upstream.url, allowed_tools: ['*'] });

  test('is answered as before and not done again, even at the same time', async () => {
    const once = body();
    const send = () => owner.post('/v1/mcp-configs', once, { 'x-request-id': `same-${once.name}` });
    const told = await Promise.all([send(), send(), send()]);
    assert.deepEqual(
      told.map(({ status }) => status),
      [200, 200, 200],
    );
    assert.equal(new Set(told.map((each) => JSON.stringify(each.body))).size, 1);
    assert.equal(told.filter(({ headers }) => headers.get('idempotent-replayed') === 'true').length, 2);
    assert.equal((await owner.get(`/v1/mcp-configs?name=${once.name}`)).body.total_count, 1);
  });

  test('gives a new token its one value again', async () => {
    const send = () => owner.post('/v1/mcp-tokens', { name: 'again', grants: [] }, { 'x-request-id': 'token-1' });
    const [first, second] = [await send(), await send()];
    assert.match(first.body.token, /^swb_agt_/);
    assert.deepEqual(second.body, first.body);
  });

  test('but with another body, on another path or with another key is refused or new', async () => {
    const once = body();
    const id = { 'x-request-id': `mixed-${once.name}` };
    await owner.post('/v1/mcp-configs', once, id);
    const other = await owner.post('/v1/mcp-configs', { ...once, description: 'x' }, id);
    assert.deepEqual([other.status, other.body.errors[0].path], [400, 'x-request-id']);
    const key = (await owner.post('/v1/api-keys', { name: 'second', role: 'owner' })).body.api_key;
    assert.equal((await operatorOf(gateway.url, key).post('/v1/mcp-configs', once, id)).status, 400);
    assert.equal((await owner.post('/v1/secrets', { name: `S_${names}`, value: 'x' }, id)).status, 200);
  });

  test('is done anew when it was refused, and after a day', async () => {
    const once = body();
    const id = { 'x-request-id': `day-${once.name}` };
    assert.equal((await owner.post('/v1/mcp-configs', { ...once, endpoint: 'nowhere' }, id)).status, 400);
    const { body: made } = await owner.post('/v1/mcp-configs', once, id);
    nowMs += 24 * 60 * 60 * 1000;
    const late = await owner.post('/v1/mcp-configs', once, id);
    assert.match(late.body.message, new RegExp(`'${once.name}' exists already \\(${made.id}\\)`));
  });
});

suite('the history of an McpConfig', () => {
  test('tells who changed which fields, with the tools that came and went, newest first', async () => {
    const { id } = await makeConfig({ allowed_tools: [] });
    await owner.post('/v1/mcp-tokens', { name: `h${id}`, grants: [{ mcp_config: id }] });
    await owner.post(`/v1/mcp-configs/${id}`, { allowed_tools: ['*'], description: 'wide' });
    const { revisions, has_more } = (await owner.get(`/v1/mcp-configs/${id}/history`)).body;
    assert.equal(has_more, false);
    assert.deepEqual(
      revisions.map((each: Record<string, unknown>) => [each.revision, each.action]),
      [
        [2, 'update'],
        [1, 'create'],
      ],
    );
    assert.deepEqual(revisions[0].changed_fields, ['allowed_tools', 'description']);
    assert.equal(revisions[0].actor.kind, 'api_key');
    const page = (await owner.get(`/v1/mcp-configs/${id}/history?limit=1`)).body;
    assert.deepEqual([page.revisions.length, page.has_more], [1, true]);
    const { body: diff } = await owner.get(`/v1/mcp-configs/${id}/diff`);
    assert.deepEqual(diff, {
      from: 1,
      to: 2,
      fields: [
        { field: 'allowed_tools', before: [], after: ['*'] },
        { field: 'description', before: null, after: 'wide' },
      ],
    });
  });

  test('leads back to any revision, a deleted config included, as a new revision', async () => {
    const made = await makeConfig({ description: 'first' });
    await owner.post(`/v1/mcp-configs/${made.id}`, { description: 'second', allowed_tools: ['a'] });
    const back = await owner.post(`/v1/mcp-configs/${made.id}/revert`, { revision: 1 }, { 'if-match': '"2"' });
    assert.deepEqual([back.body.revision, back.body.description, back.body.allowed_tools], [3, 'first', ['*']]);
    await owner.post(`/v1/mcp-configs/${made.id}/delete`);
    assert.equal((await owner.get(`/v1/mcp-configs/${made.id}`)).status, 404);
    const risen = await owner.post(`/v1/mcp-configs/${made.id}/revert`, { revision: 2 });
    assert.deepEqual([risen.status, risen.body.description, risen.body.revision], [200, 'second', 5]);
    const missing = await owner.post(`/v1/mcp-configs/${made.id}/revert`, { revision: 9 });
    assert.match(missing.body.message, /^revision: there is no revision 9; there are: 5, 3, 2, 1\.$/);
  });

  test('says of an effect that it is not known while no list of the upstream is, and of none that there is none', async () => {
    const { id, name } = await makeConfig();
    await owner.post(`/v1/mcp-configs/${id}`, { allowed_tools: ['none'] });
    await owner.post(`/v1/mcp-configs/${id}`, { description: 'the same tools' });
    const effects = async () =>
      (await owner.get(`/v1/mcp-configs/${id}/history`)).body.revisions.map(
        ({ effect }: { effect: { summary: string; is_partial: boolean } }) => [effect.summary, effect.is_partial],
      );
    const unknown = ['not known', true];
    assert.deepEqual(await effects(), [['+0 −0 tools', false], unknown, unknown]);
    const { body: token } = await owner.post('/v1/mcp-tokens', { name: `of-${name}`, grants: [{ mcp_config: id }] });
    await owner.post(`/v1/mcp-tokens/${token.id}/rotate`, { overlap_seconds: 60 });
    const { changes } = (await owner.get('/v1/audit?object_kind=token&limit=2')).body;
    const summaries = changes.map(({ effect }: { effect: { summary: string } }) => effect.summary);
    assert.deepEqual(summaries, ['+0 −0 tools', 'not known']);
    assert.equal(await statusOfCall(token.token), 200);
    await owner.post(`/v1/mcp-configs/${id}`, { allowed_tools: ['*'] });
    assert.deepEqual((await effects())[0], ['+1 −0 tools', false]);
  });

  test('goes back page by page, and is compared over any distance', async () => {
    const { id } = await makeConfig({ description: '1' });
    for (const description of ['2', '3', '4']) await owner.post(`/v1/mcp-configs/${id}`, { description });
    const page = (await owner.get(`/v1/mcp-configs/${id}/history?limit=2&before_revision=4`)).body;
    const revisions = page.revisions.map((each: { revision: number }) => each.revision);
    assert.deepEqual([revisions, page.has_more], [[3, 2], true]);
    const { body } = await owner.get(`/v1/mcp-configs/${id}/diff?from=1&to=3`);
    assert.deepEqual([body.from, body.to, body.fields], [1, 3, [{ field: 'description', before: '1', after: '3' }]]);
  });

  test('is found by the id of a deleted config, though another is named like it', async () => {
    const { id } = await makeConfig();
    await owner.post(`/v1/mcp-configs/${id}/delete`);
    const namesake = await makeConfig({ name: id });
    const actions = async (of: string) =>
      (await owner.get(`/v1/mcp-configs/${of}/history`)).body.revisions.map((each: { action: string }) => each.action);
    assert.deepEqual([await actions(id), await actions(namesake.id)], [['delete', 'create'], ['create']]);
    await owner.post(`/v1/mcp-configs/${namesake.id}`, { name: `freed${names}` });
    const risen = await owner.post(`/v1/mcp-configs/${id}/revert`, { revision: 1 });
    assert.deepEqual([risen.status, risen.body.id], [200, id]);
  });

  test('does not grow by a revert to what is there', async () => {
    const { id } = await makeConfig();
    const back = await owner.post(`/v1/mcp-configs/${id}/revert`, { revision: 1 }, { 'if-match': '"1"' });
    assert.deepEqual([back.status, back.body.revision], [200, 1]);
    assert.equal((await owner.get(`/v1/mcp-configs/${id}/history`)).body.revisions.length, 1);
  });
});

suite('a token', () => {
  test('that is rotated is known by both values until the overlap ends, and stays the same principal', async () => {
    const { body: made } = await owner.post('/v1/mcp-tokens', { name: 'turning', grants: [] });
    const { body: turned } = await owner.post(`/v1/mcp-tokens/${made.id}/rotate`, { overlap_seconds: 60 });
    assert.deepEqual([turned.id, turned.revision], [made.id, 2]);
    assert.deepEqual([await statusOfCall(made.token), await statusOfCall(turned.token)], [200, 200]);
    nowMs += 60_000;
    assert.deepEqual([await statusOfCall(made.token), await statusOfCall(turned.token)], [401, 200]);
    const { body: again } = await owner.post(`/v1/mcp-tokens/${made.id}/rotate`, { overlap_seconds: 0 });
    assert.deepEqual([await statusOfCall(turned.token), await statusOfCall(again.token)], [401, 200]);
  });

  test('changes its grants in place, and a grant of what is not there is refused at its place', async () => {
    const config = await makeConfig();
    const { body: made } = await owner.post('/v1/mcp-tokens', { name: 'growing', grants: [] });
    const { body: grown } = await owner.post(`/v1/mcp-tokens/growing`, { grants: [{ mcp_config: config.name }] });
    assert.deepEqual([grown.id, grown.revision, grown.grants[0].mcp_config], [made.id, 2, config.id]);
    const { status, body } = await owner.post('/v1/mcp-tokens/growing', { grants: [{ mcp_config: 'none' }] });
    assert.deepEqual([status, body.errors[0].path], [400, 'grants[0].mcp_config']);
  });

  test('is granted a config with a secret once, by whichever name, and a bounded number of patterns', async () => {
    const [one, other] = [await makeConfig(), await makeConfig()];
    const make = (grants: readonly object[]) => owner.post('/v1/mcp-tokens', { name: `bounded${++names}`, grants });
    const twice = await make([{ mcp_config: one.id }, { mcp_config: other.id }, { mcp_config: one.name }]);
    assert.deepEqual([twice.status, twice.body.errors[0].path], [400, 'grants[2]']);
    assert.match(twice.body.message, /is the same as grants\[0\]/);
    const allowed_tools = Array.from({ length: 160 }, (_, i) => `{${i},a,b,c,d,e,f,g,h,i,j,k,l,m,n,o}`);
    const many = await make([one, other].map(({ id }) => ({ mcp_config: id, allowed_tools })));
    assert.deepEqual([many.status, many.body.errors[0].path], [400, 'grants']);
    assert.match(many.body.message, /more than 5000 patterns/);
    assert.equal((await make([one, other].map(({ id }) => ({ mcp_config: id, allowed_tools: ['a'] })))).status, 200);
  });

  test('ends at a time that a calendar has', async () => {
    const make = (expire_time_ms: number) =>
      owner.post('/v1/mcp-tokens', { name: `ends${++names}`, grants: [], expire_time_ms });
    const far = await make(8_640_000_000_000_001);
    assert.deepEqual([far.status, far.body.errors[0].path], [400, 'expire_time_ms']);
    const { body: made } = await make(8_640_000_000_000_000);
    const update = { expire_time_ms: Number.MAX_SAFE_INTEGER };
    assert.equal((await owner.post(`/v1/mcp-tokens/${made.id}`, update)).status, 400);
    const beyond = await make(100_000_000_000_000_000);
    const message = 'must be at most 8640000000000000';
    assert.deepEqual(beyond.body.errors, [{ path: 'expire_time_ms', message }]);
    assert.equal((await owner.get('/v1/export')).status, 200);
  });
});

test('a rename that changes the service says whose names it changes', async () => {
  const { id, service } = await makeConfig();
  await owner.post('/v1/mcp-tokens', { name: 'user', grants: [{ mcp_config: id }] });
  const { body } = await owner.post(`/v1/mcp-configs/${id}`, { name: 'renamed-config' });
  const [warning] = body.warnings;
  assert.deepEqual(warning.path, 'name');
  assert.equal(
    warning.message,
    `changes the service from '${service}' to 'renamed': its tools are 'renamed.…' now, and agents of token user must use the new names`,
  );
  assert.equal((await owner.post(`/v1/mcp-configs/${id}`, { name: 'renamed-again' })).body.warnings, undefined);
  const { body: back } = await owner.post(`/v1/mcp-configs/${id}/revert`, { revision: 1 });
  assert.match(back.warnings[0].message, /^changes the service from 'renamed' to .* agents of token user must use/);
});

test('an endpoint that moves suspends its grants until an owner confirms it', async () => {
  const editor = operatorOf(
    gateway.url,
    (await owner.post('/v1/api-keys', { name: 'mover', role: 'editor' })).body.api_key,
  );
  const other = await startRecordingUpstream({ era: 'legacy' });
  try {
    const config = await makeConfig();
    await owner.post('/v1/secrets', { name: 'MOVED', value: 'x' });
    const { body: token } = await owner.post('/v1/mcp-tokens', {
      name: 'follower',
      grants: [{ mcp_config: config.id, secret: 'MOVED' }],
    });
    const { body: moved } = await editor.post(`/v1/mcp-configs/${config.id}`, { endpoint: other.url });
    assert.match(moved.warnings[0].message, /the grants of token follower are suspended until an owner confirms it/);
    const isSuspended = async () => (await owner.get(`/v1/mcp-tokens/${token.id}`)).body.grants[0].is_suspended;
    assert.equal(await isSuspended(), true);
    assert.equal((await editor.post(`/v1/mcp-configs/${config.id}/confirm_endpoint`, { origin: '' })).status, 403);
    const confirm = (origin: string) => owner.post(`/v1/mcp-configs/${config.id}/confirm_endpoint`, { origin });
    const { origin } = new URL(other.url);
    const refused = await confirm(new URL(upstream.url).origin);
    assert.deepEqual([refused.status, refused.body.code, refused.body.errors[0].path], [400, 'conflict', 'origin']);
    assert.ok(refused.body.message.includes(`points to ${origin} now`), refused.body.message);
    assert.equal(await isSuspended(), true);
    const { body } = await confirm(origin);
    assert.deepEqual([body.origin, body.tokens], [origin, [token.id]]);
    assert.equal(await isSuspended(), false);
    const { body: back } = await editor.post(`/v1/mcp-configs/${config.id}/revert`, { revision: 1 });
    assert.deepEqual([back.warnings, await isSuspended()], [moved.warnings, true], 'going back is a move as well');
  } finally {
    await other.close();
  }
});

suite('a secret that was granted somewhere', () => {
  const evil = 'http://127.0.0.1:9/mcp';
  let editor: Operator;
  let config: { id: string; name: string };
  let tokenId: string;

  before(async () => {
    const { body: key } = await owner.post('/v1/api-keys', { name: 'editor', role: 'editor' });
    editor = operatorOf(gateway.url, key.api_key);
    config = await makeConfig();
    await editor.post('/v1/secrets', { name: 'BOUND', value: 'crown-jewel' });
    const grants = [{ mcp_config: config.id, secret: 'BOUND' }];
    tokenId = (await editor.post('/v1/mcp-tokens', { name: 'binder', grants })).body.id;
  });

  const isRefused = async (path: string, body: object, at: string) => {
    const told = await editor.post(path, body);
    assert.deepEqual([told.status, told.body.errors?.[0].path], [403, at], JSON.stringify(told.body));
    assert.match(told.body.message, /the secret 'BOUND' is bound to http:\/\/127\.0\.0\.1:\d+, where it was granted/);
  };

  test('is sent nowhere else by an editor: not by a new config and token, a header, or a preview', async () => {
    const other = { name: 'evil', endpoint: evil, allowed_tools: ['*'] };
    const custom_headers = [{ name: 'X-Key', secret: 'BOUND' }];
    await isRefused('/v1/mcp-configs', { ...other, custom_headers }, 'custom_headers');
    await isRefused('/v1/mcp-configs/preview', { ...other, secret: 'BOUND' }, 'secret');
    await isRefused('/v1/mcp-configs/preview', { ...other, custom_headers }, 'custom_headers');
    await editor.post('/v1/mcp-configs', other);
    await isRefused(
      '/v1/mcp-tokens',
      { name: 'thief', grants: [{ mcp_config: 'evil', secret: 'BOUND' }] },
      'grants[0]',
    );
    await isRefused('/v1/mcp-configs/evil', { custom_headers }, 'custom_headers');
  });

  test('stays bound when the header that sent it, or the config and its token, are gone', async () => {
    await editor.post('/v1/secrets', { name: 'HEADER', value: 'crown-jewel' });
    const custom_headers = [{ name: 'X-Key', secret: 'HEADER' }];
    const { id } = await makeConfig({ custom_headers });
    const { body: token } = await editor.post('/v1/mcp-tokens', { name: 'sender', grants: [{ mcp_config: id }] });
    await editor.post(`/v1/mcp-configs/${id}`, { custom_headers: [] });
    const thief = { name: 'thief', endpoint: evil, allowed_tools: ['*'], custom_headers };
    assert.equal((await editor.post('/v1/mcp-configs', thief)).status, 403);
    await editor.post(`/v1/mcp-tokens/${token.id}/revoke`);
    assert.equal((await editor.post(`/v1/mcp-configs/${id}/delete`)).status, 200);
    assert.equal((await editor.post('/v1/mcp-configs', thief)).status, 403);
    assert.deepEqual((await editor.get('/v1/secrets/HEADER')).body.origins, [new URL(upstream.url).origin]);
  });

  test('stays suspended when an editor writes the same grant again, or revokes the token first', async () => {
    await editor.post(`/v1/mcp-configs/${config.id}`, { endpoint: evil });
    const grants = [{ mcp_config: config.id, secret: 'BOUND' }];
    const { body } = await editor.post(`/v1/mcp-tokens/${tokenId}`, { grants, name: 'rebinder' });
    assert.deepEqual([body.name, body.grants[0].is_suspended], ['rebinder', true]);
    await editor.post(`/v1/mcp-tokens/${tokenId}/revoke`);
    await isRefused('/v1/mcp-tokens', { name: 'thief', grants }, 'grants[0]');
    assert.equal((await owner.post('/v1/mcp-tokens', { name: 'by-owner', grants })).status, 200);
  });
});

test('a request whose API key is revoked while its body comes is refused, and changes nothing', async () => {
  const { body: slow } = await owner.post('/v1/api-keys', { name: 'slow', role: 'owner' });
  const headers = { authorization: `Bearer ${slow.api_key}`, expect: '100-continue' };
  const sent = request(`${gateway.url}/v1/secrets`, { method: 'POST', headers });
  sent.flushHeaders();
  await once(sent, 'continue');
  assert.equal((await owner.post(`/v1/api-keys/${slow.id}/revoke`)).status, 200);
  sent.end('{"name":"LATE","value":"x"}');
  const [told] = await once(sent, 'response');
  told.resume();
  assert.equal(told.statusCode, 401);
  assert.equal((await owner.get('/v1/secrets/LATE')).status, 404);
});

test('what looks like the value of a secret or token is not repeated by an error', async () => {
  const { body: made } = await owner.post('/v1/mcp-tokens', { name: 'shown', grants: [] });
  const missing = await owner.get(`/v1/mcp-tokens/${made.token}x`);
  assert.equal(missing.body.message, 'There is no token of this name or id in this account.');
  const { id } = await makeConfig();
  const grants = [{ mcp_config: id, secret: 'hunter2' }];
  assert.doesNotMatch((await owner.post('/v1/mcp-tokens', { name: 'typo', grants })).body.message, /hunter2/);
});

test('a devbox mounts configs, is given a token that works, and takes it along when it is shut down', async () => {
  const config = await makeConfig();
  const mcp = { GITHUB_MCP: { mcp_config: config.name } };
  const { body: devbox } = await owner.post('/v1/devboxes/create_and_await_running', { name: 'box', mcp });
  assert.deepEqual([devbox.status, devbox.mcp_specs.GITHUB_MCP.mcp_config_id], ['running', config.id]);
  const { body: minted } = await owner.post(`/v1/devboxes/${devbox.id}/create_mcp_token`, { mcp_config: config.id });
  assert.deepEqual([minted.url, minted.devbox_id], [gateway.mcpUrl, devbox.id]);
  assert.equal(await statusOfCall(minted.token), 200);
  const waited = await owner.post(`/v1/devboxes/${devbox.id}/wait_for_status`, { statuses: ['running'] });
  assert.equal(waited.body.status, 'running');
  assert.equal((await owner.post(`/v1/devboxes/${devbox.id}/shutdown`)).body.status, 'shutdown');
  assert.equal(await statusOfCall(minted.token), 401);
  assert.equal((await owner.post(`/v1/devboxes/${devbox.id}/create_mcp_token`, { mcp_config: config.id })).status, 400);
  const refused = await owner.post('/v1/devboxes', { mcp: { X: { mcp_config: 'none' } } });
  assert.deepEqual([refused.status, refused.body.errors[0].path], [400, 'mcp.X.mcp_config']);
});

suite('a devbox', () => {
  const DAY_MS = 24 * 60 * 60 * 1000;
  const makeDevbox = async (body: object = {}) => (await owner.post('/v1/devboxes', body)).body;

  test('gives each mount in a list a variable of its own, and has at most 100 keys of metadata', async () => {
    const { name } = await makeConfig();
    const box = await makeDevbox({ mcp: [{ mcp_config: name }, { mcp_config: name }] });
    const variable = `RL_MCP_${name.toUpperCase()}`;
    assert.deepEqual(Object.keys(box.mcp_specs), [variable, `${variable}_2`]);
    const metadata = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`k${i}`, '']));
    const { status, body } = await owner.post('/v1/devboxes', { metadata });
    assert.deepEqual([status, body.errors[0].path], [400, 'metadata']);
  });

  test('is given tokens of names that nothing takes, whatever is renamed', async () => {
    const { name } = await makeConfig();
    const { id } = await makeDevbox();
    const mint = () => owner.post(`/v1/devboxes/${id}/create_mcp_token`, { mcp_config: name });
    await mint();
    const [first] = (await owner.get(`/v1/mcp-tokens?name=${id}`)).body.mcp_tokens;
    await owner.post(`/v1/mcp-tokens/${first.id}`, { name: `${id}.2` });
    assert.equal((await mint()).status, 200);
  });

  test('is shut down about its own revision, whatever that of its tokens is', async () => {
    const { name } = await makeConfig();
    const { id, revision } = await makeDevbox();
    await owner.post(`/v1/devboxes/${id}/create_mcp_token`, { mcp_config: name });
    const [token] = (await owner.get(`/v1/mcp-tokens?name=${id}`)).body.mcp_tokens;
    await owner.post(`/v1/mcp-tokens/${token.id}`, { name: `${id}.renamed` });
    const shutDown = (tag: string) => owner.post(`/v1/devboxes/${id}/shutdown`, {}, { 'if-match': tag });
    assert.equal((await shutDown('"2"')).status, 412);
    const { body } = await shutDown(`"${revision}"`);
    assert.deepEqual([revision, body.status, body.revision], [1, 'shutdown', 2]);
    assert.notEqual((await owner.get(`/v1/mcp-tokens/${token.id}`)).body.revoke_time_ms, null);
    assert.equal((await shutDown('"1"')).status, 412);
  });

  test('is listed page by page, newest first, by its status', async () => {
    const tagged = operatorOf(gateway.url, (await owner.post('/v1/accounts', { name: 'devboxes' })).body.api_key);
    const ids: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) {
      nowMs += 1;
      ids.unshift((await tagged.post('/v1/devboxes', { name })).body.id);
    }
    const list = async (query: string) => {
      const { body } = await tagged.get(`/v1/devboxes?${query}`);
      return [body.devboxes.map(({ id }: { id: string }) => id), body.has_more, body.total_count];
    };
    assert.deepEqual(await list('limit=2'), [ids.slice(0, 2), true, 4]);
    assert.deepEqual(await list(`limit=2&starting_after=${ids[1]}`), [ids.slice(2), false, 4]);
    await tagged.post(`/v1/devboxes/${ids[1]}/shutdown`);
    assert.deepEqual(await list('status=running&include_total_count=false'), [[ids[0], ids[2], ids[3]], false, null]);
    assert.deepEqual(await list(`status=shutdown&starting_after=${ids[0]}`), [[ids[1]], false, 1]);
    const lost = await tagged.get('/v1/devboxes?starting_after=dbx_none');
    assert.deepEqual([lost.status, lost.body.errors[0].path], [400, 'starting_after']);
  });

  test('takes away what has ended more than a week ago, some with each new token, and records it', async () => {
    const { name } = await makeConfig();
    const { id } = await makeDevbox();
    const mint = () => owner.post(`/v1/devboxes/${id}/create_mcp_token`, { mcp_config: name });
    for (let i = 0; i < 25; i++) await mint();
    const count = async () => (await owner.get(`/v1/mcp-tokens?name=${id}`)).body.total_count;
    nowMs += 8 * DAY_MS - 1;
    await mint();
    assert.equal(await count(), 26);
    nowMs += 1;
    await mint();
    assert.equal(await count(), 26 + 1 - 20);
    const { body } = await owner.get('/v1/audit?object_kind=token&action=delete');
    assert.equal(
      body.changes.filter((each: { object: { name: string } }) => each.object.name.startsWith(id)).length,
      20,
    );
    await mint();
    assert.equal(await count(), 3);
  });
});

test('patterns that admit nothing are warned of once each, at their place, twenty at most, and in no list', async () => {
  const make = (allowed_tools: readonly string[]) => makeConfig({ allowed_tools });
  const twice = await make(['z.a', 'ok', 'z.{a,b,c}', 'z.a']);
  const paths = twice.warnings.map(({ path }: { path: string }) => path);
  assert.deepEqual(paths, ['allowed_tools[0]', 'allowed_tools[2]', 'allowed_tools[3]']);
  const many = await make(Array.from({ length: 100 }, (_, i) => `z.{a${i},b}`));
  assert.equal(many.warnings.length, 20);
  assert.equal((await owner.get(`/v1/mcp-configs/${many.id}`)).body.warnings.length, 20);
  const { mcp_configs } = (await owner.get(`/v1/mcp-configs?id=${many.id}`)).body;
  assert.deepEqual([mcp_configs.length, mcp_configs[0].warnings], [1, undefined]);
});

test('an account that an owner of the default one makes has its own key, and sees nothing of others', async () => {
  const config = await makeConfig();
  const { body: account } = await owner.post('/v1/accounts', { name: 'team-b' });
  const theirs = operatorOf(gateway.url, account.api_key);
  assert.equal((await theirs.get('/v1/accounts/me')).body.id, account.id);
  assert.deepEqual((await theirs.get('/v1/mcp-configs')).body.mcp_configs, []);
  assert.equal((await theirs.get(`/v1/mcp-configs/${config.id}`)).status, 404);
  assert.equal((await theirs.post(`/v1/mcp-configs/${config.id}/delete`)).status, 404);
  assert.equal((await theirs.post('/v1/accounts', { name: 'team-c' })).status, 403);
  assert.equal((await owner.post('/v1/accounts', { name: 'team-b' })).status, 400);
});

test('the audit of changes tells them newest first, page by page, and filters', async () => {
  const { id } = await makeConfig();
  await owner.post(`/v1/mcp-configs/${id}`, { description: 'seen' }, { 'x-request-id': 'traced' });
  const { body } = await owner.get(`/v1/audit?object_id=${id}&limit=1`);
  assert.deepEqual([body.changes[0].action, body.changes[0].request_id], ['update', 'traced']);
  const { body: rest } = await owner.get(`/v1/audit?object_id=${id}&starting_after=${body.next}`);
  assert.deepEqual([rest.changes.length, rest.changes[0].action, rest.next], [1, 'create', null]);
  const { body: none } = await owner.get(`/v1/audit?action=shutdown&object_kind=secret`);
  assert.deepEqual(none.changes, []);
});

test('every answer says how many requests are left, and who has made too many is told when to come again', async () => {
  const tight = await startGateway({ configs: [], limits: { api_requests_per_minute: 2 } });
  try {
    const few = operatorOf(tight.url, tight.apiKey);
    const first = await few.get('/v1/accounts/me');
    assert.equal(first.headers.get('ratelimit-policy'), '"api-key";q=2;w=60');
    assert.match(first.headers.get('ratelimit') ?? '', /^"api-key";r=1;t=\d+$/);
    await few.get('/v1/accounts/me');
    const { status, headers, body } = await few.get('/v1/accounts/me');
    assert.deepEqual([status, body.code, headers.get('x-should-retry')], [429, 'rate_limited', 'true']);
    assert.ok(Number(headers.get('retry-after-ms')) > 0 && Number(headers.get('retry-after')) <= 30);
  } finally {
    await tight.close();
  }
});

test('an McpConfig that has left the config file comes back by the file alone', async () => {
  const declared = { name: 'declared', url: upstream.url };
  const { body } = await owner.get('/v1/mcp-configs/declared');
  await gateway.reload({ configs: [] });
  const { status, body: refused } = await owner.post(`/v1/mcp-configs/${body.id}/revert`, { revision: 1 });
  assert.deepEqual([status, refused.code], [400, 'conflict']);
  assert.match(refused.message, /was declared in the config file of the gateway: put it back there/);
  await gateway.reload({ configs: [declared] });
  assert.equal((await owner.get('/v1/mcp-configs/declared')).body.id, body.id);
});
