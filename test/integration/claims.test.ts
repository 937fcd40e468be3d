// Claim links: how the value of a token comes to whoever is to have it, once and past the model that asked for it.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { send } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const PAGE = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
const MINUTE_MS = 60_000;

let nowMs = Date.UTC(2026, 10, 21, 12);
let upstream: RecordingUpstream;
let gateway: TestGateway;

before(async () => {
  upstream = await startRecordingUpstream({ era: 'modern' });
  gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }], now: () => nowMs });
});

after(async () => {
  await gateway.close();
  await upstream.close();
});

let made = 0;

// biome-ignore lint/suspicious/noExplicitAny: the view of the operation
async function makeClaim(headers: Record<string, string> = {}): Promise<{ status: number; view: any }> {
  const body = JSON.stringify({ name: `claimed-${++made}`, grants: [{ mcp_config: 'rec' }] });
  const { status, text } = await send(`${gateway.url}/v1/mcp-token-claims`, { token: gateway.apiKey, body, headers });
  return { status, view: JSON.parse(text) };
}

async function makeLink(): Promise<string> {
  return (await makeClaim()).view.claim_url;
}

suite('a claim link', () => {
  test('gives the value of the token once, and the value works', async () => {
    const { view } = await makeClaim();
    assert.equal(view.claim_expire_time_ms, nowMs + 15 * MINUTE_MS);
    assert.ok(!JSON.stringify(view).includes('swb_agt_'));
    assert.ok(view.claim_url.startsWith(`${gateway.url}/claim/`));
    const first = await send(view.claim_url, { method: 'POST' });
    const { name, token, url } = JSON.parse(first.text);
    assert.deepEqual([first.status, name, url], [200, view.name, gateway.mcpUrl]);
    const listed = await send(url, { token, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' });
    assert.match(listed.text, /rec\.echo/);
    assert.equal((await send(view.claim_url, { method: 'POST' })).status, 404);
  });

  test('is not used up by whoever only looks: a browser sees a button, anybody else how to go on', async () => {
    const link = await makeLink();
    for (const method of ['HEAD', 'GET', 'GET']) {
      const page = await send(link, { method, headers: PAGE });
      assert.deepEqual([page.status, page.headers['content-type']], [200, 'text/html; charset=utf-8']);
      if (method === 'GET') assert.match(page.text, /<form method="post"><button>/);
      assert.doesNotMatch(page.text, /swb_agt_|<script|src=|href=/);
    }
    const hint = await send(link, { method: 'GET', headers: { accept: '*/*' } });
    assert.equal(hint.headers['content-type'], 'text/plain; charset=utf-8');
    assert.ok(hint.text.includes(`curl -fsS -X POST ${link}\n`));
    const page = await send(link, { method: 'POST', headers: { ...PAGE, origin: gateway.url } });
    assert.match(page.text, /<code>swb_agt_\w+<\/code>/);
  });

  test('is opened from a page of another site, and posted to only from its own', async () => {
    const link = await makeLink();
    const from = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    const opened = await send(link, { method: 'GET', headers: { ...PAGE, ...from, 'sec-fetch-dest': 'document' } });
    assert.equal(opened.status, 200);
    for (const headers of [
      { ...PAGE, ...from, 'sec-fetch-dest': 'document' },
      { ...PAGE, origin: 'https://evil.example' },
      { ...PAGE, origin: 'null' },
    ]) {
      assert.equal((await send(link, { method: 'POST', headers })).status, 403);
    }
    assert.equal((await send(link, { method: 'GET', headers: { ...from, 'sec-fetch-dest': 'iframe' } })).status, 403);
    assert.equal((await send(link, { method: 'POST' })).status, 200);
  });

  test('of many who use it at once one gets the value', async () => {
    const link = await makeLink();
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(link, { method: 'POST' })));
    assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 404, 404, 404, 404, 404, 404, 404]);
  });

  test('is good for 15 minutes', async () => {
    const [early, late] = [await makeLink(), await makeLink()];
    nowMs += 15 * MINUTE_MS - 1;
    assert.equal((await send(early, { method: 'POST' })).status, 200);
    nowMs += 1;
    assert.equal((await send(late, { method: 'POST' })).status, 404);
  });

  test('that is unknown, used, expired or altered looks like any other', async () => {
    const used = await makeLink();
    await send(used, { method: 'POST' });
    const expired = await makeLink();
    nowMs += 15 * MINUTE_MS;
    const altered = expired.replace(/.{4}$/, 'AAAA');
    const unknown = `${gateway.url}/claim/${'A'.repeat(95)}`;
    for (const headers of [PAGE, { accept: '*/*' }]) {
      for (const method of ['GET', 'POST']) {
        const answers = await Promise.all(
          [used, expired, altered, unknown].map((link) => send(link, { method, headers })),
        );
        const told = answers.map(({ status, text, headers: { date: _, ...rest } }) => ({ status, text, rest }));
        for (const each of told) assert.deepEqual(each, told[0]);
        assert.equal(told[0]?.status, 404);
        assert.doesNotMatch(told[0]?.text ?? '', /claim\//);
      }
    }
  });

  test('is kept by nobody: not by caches, robots, frames or the pages it is opened from', async () => {
    const link = await makeLink();
    for (const [method, headers] of [
      ['GET', PAGE],
      ['POST', PAGE],
      ['POST', PAGE],
      ['GET', {}],
    ] as const) {
      const answer = await send(link, { method, headers });
      assert.equal(answer.headers['cache-control'], 'no-store');
      assert.match(String(answer.headers['x-robots-tag']), /noindex/);
      assert.match(String(answer.headers['content-security-policy']), /default-src 'none'.*frame-ancestors 'none'/);
      assert.equal(answer.headers['referrer-policy'], 'same-origin');
      assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    }
  });

  test('is made under the epoch that was read, if one is named', async () => {
    const { body } = await context();
    assert.equal((await makeClaim({ 'if-match': `"${body.epoch - 1}"` })).status, 412);
    assert.equal((await makeClaim({ 'if-match': `"${body.epoch}"` })).status, 200);
  });
});

// biome-ignore lint/suspicious/noExplicitAny: the view of the operation
async function context(): Promise<{ body: any }> {
  const { text } = await send(`${gateway.url}/v1/accounts/me/context`, { method: 'GET', token: gateway.apiKey });
  return { body: JSON.parse(text) };
}
