// A policy that changes while it is used, one case a line of test/corpus/policy-races.jsonl: from the change on, nothing is
// reached that it hides, whatever was called, listed or opened before.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { after, before, test } from 'node:test';
import {
  assertNoCanary,
  CANARY,
  type CorpusCase,
  readCorpus,
  reportCounts,
  withoutUpstreamBytes,
} from '../support/corpus.ts';
import { eventually } from '../support/eventually.ts';
import { type ConfigFileOptions, startGateway, type TestGateway } from '../support/gateway.ts';
import { startListingUpstream, toolNamed } from '../support/listing-upstream.ts';
import { type Answer, type CallOptions, mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const FILE = 'policy-races.jsonl';
const CASES = readCorpus<CorpusCase>(FILE, { race: 12 });

let gateway: TestGateway;
let first: RecordingUpstream;
let second: RecordingUpstream;
let nowMs = Date.UTC(2026, 10, 20, 12);
/** What calls wait for. */
let gate: Promise<void> | undefined;
const TOOLS = ['search_issues', 'search_code2', 'create_issue'].map((name) => toolNamed(name));
const TIGHT = ['search_*'];

before(async () => {
  const onCall = async () => {
    await gate;
    return '{"content":[]}';
  };
  first = await startRecordingUpstream({ era: 'modern', tools: TOOLS, onCall });
  second = await startRecordingUpstream({ era: 'legacy', tools: TOOLS, onCall });
  gateway = await startGateway({ ...policy(TIGHT), now: () => nowMs });
});
after(async () => {
  await gateway.close();
  await first.close();
  await second.close();
});

function policy(
  allowedTools: readonly string[],
  changes: Partial<ConfigFileOptions> & { narrowed?: string[]; url?: string } = {},
): ConfigFileOptions {
  const { narrowed, url = first.url, ...rest } = changes;
  const grant = narrowed === undefined ? 'github-readonly' : { config: 'github-readonly', allowedTools: narrowed };
  return {
    configs: [
      { name: 'github-readonly', url, allowedTools, credential: CANARY },
      { name: 'github-admin', url: second.url, allowedTools: ['*'], credential: `${CANARY}-admin` },
    ],
    tokens: [{ name: 'agent', grants: [grant] }, { name: 'other' }],
    ...rest,
  };
}

/** Begins with a policy in force, its tools known and the upstreams as they were. */
async function begin(options: ConfigFileOptions): Promise<void> {
  for (const upstream of [first, second]) upstream.setTools(TOOLS);
  await gateway.reload(options);
  nowMs += 61_000;
  await eventually(async () => (await listed()).length > 0);
}

async function listed(): Promise<string[]> {
  const { message } = await ask('agent', mcpRequest('tools/list'));
  return message.result.tools.map(({ name }: { name: string }) => name);
}

async function ask(token: string, sent: Sent, agent?: Agent): Promise<Answer> {
  const answer = await send(gateway.mcpUrl, { ...sent, token: gateway.token(token) }, agent);
  assertNoCanary(answer.bytes);
  assertNoCanary(JSON.stringify(answer.headers));
  return answer;
}

interface CallAs extends CallOptions {
  readonly token?: string;
  /** Whose connection it is made on. */
  readonly agent?: Agent;
}

function call(name: string, { token = 'agent', agent, ...options }: CallAs = {}): Promise<Answer> {
  return ask(token, toolCall(`github.${name}`, options), agent);
}

async function openSession(token: string): Promise<string> {
  const params = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}';
  const { headers } = await ask(token, mcpRequest('initialize', { params }));
  return String(headers['mcp-session-id']);
}

async function assertHidden(name: string): Promise<void> {
  const calls = first.calls.length + second.calls.length;
  for (const era of ['legacy', 'modern'] as const) {
    const { message } = await call(name, { era });
    assert.deepEqual(message.error, { code: -32602, message: `Unknown tool: github.${name}` });
  }
  assert.equal(first.calls.length + second.calls.length, calls);
}

async function assertCalled(upstream: RecordingUpstream, name: string): Promise<void> {
  const calls = upstream.calls.length;
  for (const era of ['legacy', 'modern'] as const) {
    const answer = await call(name, { era });
    assert.ok(answer.message.result !== undefined, answer.text);
  }
  assert.deepEqual(
    upstream.calls.slice(calls).map((each) => each.name),
    [name, name],
  );
}

const RACES: Readonly<Record<string, () => Promise<void>>> = {
  'a policy that is tightened while a call runs ends what comes after it': async () => {
    await begin(policy(['*']));
    const held = Promise.withResolvers<void>();
    gate = held.promise;
    const calls = first.calls.length;
    const running = [call('create_issue'), call('create_issue', { era: 'modern' })];
    await eventually(() => first.calls.length === calls + 2);
    await gateway.reload(policy(TIGHT));
    await assertHidden('create_issue');
    gate = undefined;
    held.resolve();
    for (const { message } of await Promise.all(running)) assert.ok(message.result !== undefined);
  },
  'a list from before a policy was tightened opens nothing': async () => {
    await begin(policy(['*']));
    assert.ok((await listed()).includes('github.create_issue'));
    await gateway.reload(policy(TIGHT));
    await assertHidden('create_issue');
    assert.deepEqual(await listed(), ['github.search_issues', 'github.search_code2']);
  },
  'a tool that was allowed for a moment is hidden again': async () => {
    await begin(policy(TIGHT));
    await assertHidden('create_issue');
    await gateway.reload(policy(['*']));
    await assertCalled(first, 'create_issue');
    await gateway.reload(policy(TIGHT));
    await assertHidden('create_issue');
  },
  'a grant that is narrowed ends its calls at once': async () => {
    await begin(policy(TIGHT));
    await assertCalled(first, 'search_issues');
    await gateway.reload(policy(TIGHT, { narrowed: ['search_code2'] }));
    await assertHidden('search_issues');
    await assertCalled(first, 'search_code2');
    await gateway.reload(policy(TIGHT, { narrowed: [] }));
    await assertHidden('search_code2');
  },
  'calls made all the while the policy changes reach only what it allows': async () => {
    await begin(policy(TIGHT));
    const created = () => first.calls.filter(({ name }) => name === 'create_issue').length;
    const before = created();
    let isChanging = true;
    const ask = async (name: string): Promise<Answer[]> => {
      const answers: Answer[] = [];
      while (isChanging) answers.push(await call(name, { era: answers.length % 2 === 0 ? 'legacy' : 'modern' }));
      return answers;
    };
    const asking = [ask('create_issue'), ask('search_issues'), ask('create_issue')];
    for (let change = 0; change < 12; change++) {
      await gateway.reload(policy(change % 2 === 0 ? ['*'] : TIGHT));
      if (change % 2 === 1) {
        const answered = created();
        await call('search_issues');
        // What began before the change may still arrive; nothing that began after it does.
        assert.ok(created() - answered <= 2);
      }
    }
    isChanging = false;
    const [some = [], all = [], more = []] = await Promise.all(asking);
    assert.ok(all.length > 0 && all.every(({ message }) => message.result !== undefined));
    const results = [...some, ...more].filter(({ message }) => message.result !== undefined);
    assert.equal(created() - before, results.length);
    for (const { message } of [...some, ...more]) {
      if (message.result === undefined) assert.equal(message.error?.message, 'Unknown tool: github.create_issue');
    }
    await assertHidden('create_issue');
  },
  'a tool that the upstream has dropped is not called any more': async () => {
    await begin(policy(['*']));
    first.setTools([toolNamed('search_issues')]);
    nowMs += 61_000;
    await eventually(async () => (await listed()).length === 1);
    await assertHidden('create_issue');
    await assertHidden('search_code2');
  },
  'a tool that the upstream adds is callable if the policy says so and not else': async () => {
    await begin(policy(TIGHT));
    first.setTools([...TOOLS, toolNamed('search_new'), toolNamed('create_new')]);
    nowMs += 61_000;
    await eventually(async () => (await listed()).includes('github.search_new'));
    await assertHidden('create_new');
    await assertCalled(first, 'search_new');
  },
  'a hidden tool called while its upstream is asked for its list for the first time stays unknown': async () => {
    const gate = Promise.withResolvers<void>();
    const { upstream: slow, asked } = await startListingUpstream({ era: 'modern', tools: TOOLS }, async () => {
      await gate.promise;
      return `{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[${TOOLS.join()}]}`;
    });
    await gateway.reload(policy(TIGHT, { url: slow.url }));
    const answers = Promise.all([call('create_issue'), call('search_issues')] as const);
    await eventually(() => asked.length > 0);
    gate.resolve();
    const [hidden, allowed] = await answers;
    assert.equal(hidden.message.error?.message, 'Unknown tool: github.create_issue');
    assert.ok(allowed.message.result !== undefined, allowed.text);
    assert.deepEqual(
      slow.calls.map(({ name }) => name),
      ['search_issues'],
    );
    await gateway.reload(policy(TIGHT));
    await slow.close();
  },
  "a tool that the first grant's upstream drops is not served with another grant's credential": async () => {
    const grants = ['github-readonly', { config: 'github-admin', allowedTools: ['search_*'] }];
    await begin(policy(TIGHT, { tokens: [{ name: 'agent', grants }] }));
    await assertCalled(first, 'search_code2');
    first.setTools([toolNamed('search_issues')]);
    nowMs += 61_000;
    await eventually(async () => (await listed()).length === 1);
    await assertHidden('search_code2');
  },
  'a token that is revoked makes no further call on its connection and session': async () => {
    await begin(policy(TIGHT));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const headers = { 'mcp-session-id': await openSession('agent') };
    assert.ok((await call('search_issues', { agent, headers })).message.result !== undefined);
    await gateway.reload(policy(TIGHT, { tokens: [{ name: 'other' }] }));
    await withoutUpstreamBytes([first, second], async () => {
      assert.equal((await call('search_issues', { agent, headers })).status, 401);
      assert.equal((await call('search_issues', { agent, era: 'modern' })).status, 401);
    });
    agent.destroy();
  },
  'a session opens nothing for another token': async () => {
    await begin(policy(TIGHT));
    const headers = { 'mcp-session-id': await openSession('other') };
    assert.ok((await call('create_issue', { token: 'other', headers })).message.result !== undefined);
    // The greeting has had an old list asked for again, and waits for no answer.
    const looks: number[] = [];
    await eventually(() => looks.push(second.bytesReceived) > 20 && looks.at(-1) === looks.at(-20));
    await withoutUpstreamBytes([first, second], async () => {
      for (const name of ['create_issue', 'search_issues']) {
        const { status, message } = await call(name, { headers });
        assert.deepEqual([status, message.error?.code], [404, -32600]);
      }
    });
  },
  'a config that moves to another upstream takes its policy along': async () => {
    await begin(policy(TIGHT));
    await gateway.reload(policy(TIGHT, { url: second.url }));
    await eventually(async () => (await listed()).length === 2);
    await assertHidden('create_issue');
    await assertCalled(second, 'search_issues');
    assert.equal(second.calls.at(-1)?.headers.authorization, `Bearer ${CANARY}`);
  },
};

for (const { name } of CASES) {
  test(name, async () => {
    assert.ok(RACES[name] !== undefined, 'the corpus names a race that nobody has written');
    await RACES[name]();
  });
}

test('every race that is written is in the corpus', (t) => {
  assert.deepEqual(
    Object.keys(RACES),
    CASES.map(({ name }) => name),
  );
  reportCounts(t, FILE, CASES);
});
