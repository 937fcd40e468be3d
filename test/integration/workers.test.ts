// The life of `switchboard serve --workers 2`: how work is shared out, what the death of a process costs, and the end.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runCli, scratchFolder } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { configFile } from '../support/gateway.ts';
import { isRunning } from '../support/marked-processes.ts';
import { type Answer, send, toolCall } from '../support/mcp-http.ts';
import type { ServeChild } from '../support/serve-child.ts';
import { startWorkers, startWorkerUpstreams, type WorkerUpstreams, workersOf } from '../support/worker-children.ts';
import { metricOf, oneEach, openConnections, workerOf } from '../support/worker-connections.ts';

let upstreams: WorkerUpstreams;

before(async () => {
  upstreams = await startWorkerUpstreams();
});
after(() => upstreams.close());

function call(child: ServeChild, tool: string, agent?: Agent): Promise<Answer> {
  const sent = { ...toolCall(tool, { params: '"arguments":{"a":1}' }), token: child.token() };
  return agent === undefined ? send(child.mcpUrl, sent) : send(child.mcpUrl, sent, agent);
}

function isRefused({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ECONNREFUSED';
}

function inFlight({ url }: ServeChild): Promise<number> {
  return metricOf(url, 'calls_in_flight', 'service="ctl"');
}

suite('two workers', () => {
  let child: ServeChild;

  before(async () => {
    child = await startWorkers(upstreams);
  });

  test('have as many connections each, and are counted together', async () => {
    const connections = await openConnections(child.url, 20);
    assert.equal(connections.filter(({ worker }) => worker === 1).length, 10);
    const agents = connections.map(({ agent }) => agent);
    const answered = await Promise.all(agents.map((agent) => call(child, 'ctl.quick', agent)));
    assert.ok(answered.every(({ message }) => message.result !== undefined));
    for (const agent of agents.slice(0, 2)) {
      assert.equal(await metricOf(child.url, 'calls_total', 'tool="quick"', agent), 20);
      assert.equal(await metricOf(child.url, 'epoch', '', agent), 1);
      assert.equal(await metricOf(child.url, 'client_connections', '', agent), 20);
    }
    for (const agent of agents) agent.destroy();
  });

  test('take turns with who connects anew for every call', async () => {
    await eventually(async () => {
      const served = [await workerOf(child.url, new Agent()), await workerOf(child.url, new Agent())];
      return served.includes(1) && served.includes(2);
    });
  });

  test('lose only the calls of one that is killed, which is replaced while the port takes every connection', async () => {
    const { a, b, close } = await oneEach(child.url);
    const [killed = 0, other] = workersOf(child);
    const [ofKilled, ofOther] = [call(child, 'ctl.hang', a), call(child, 'ctl.hang', b)];
    await eventually(async () => (await inFlight(child)) === 2);
    const lost = assert.rejects(ofKilled, { code: 'ECONNRESET' });
    process.kill(killed, 'SIGKILL');
    await lost;
    const meanwhile: Promise<Answer>[] = [];
    await eventually(async () => {
      meanwhile.push(call(child, 'ctl.quick'));
      return (await workerOf(child.url, new Agent())) === 1;
    });
    const answers = await Promise.all(meanwhile);
    assert.deepEqual(
      answers.filter(({ message }) => message.result === undefined),
      [],
    );
    assert.equal(workersOf(child)[1], other);
    upstreams.control.gate.resolve();
    assert.equal((await ofOther).status, 200);
    upstreams.control.reset();
    close();
    // Twenty of the first test, half of which were the killed one's: a counter never goes back.
    assert.equal(await metricOf(child.url, 'calls_total', 'tool="quick"'), 20 + answers.length);
    assert.match(child.output.stderr, /"worker ended"/);
  });

  test('are waited for by a connection that is made while there is none', async () => {
    for (const pid of workersOf(child)) process.kill(pid, 'SIGKILL');
    const answers = await Promise.all(Array.from({ length: 10 }, () => call(child, 'ctl.quick')));
    // Until its configuration is in force a worker says so.
    for (const { status } of answers) assert.ok(status === 200 || status === 503, String(status));
    await eventually(async () => (await call(child, 'ctl.quick')).status === 200);
  });

  test('finish what they have begun when the gateway stops, and are gone with it', async () => {
    await eventually(() => workersOf(child).length === 2);
    const pids = workersOf(child);
    const { a, b, close } = await eventually(() => oneEach(child.url).catch(() => undefined));
    const hangs = [call(child, 'ctl.hang', a), call(child, 'ctl.hang', b)];
    await eventually(async () => (await inFlight(child)) === 2);
    const stopped = child.stop();
    await eventually(() => call(child, 'ctl.quick').then(() => false, isRefused));
    upstreams.control.gate.resolve();
    const statuses = (await Promise.all(hangs)).map(({ status }) => status);
    assert.deepEqual(statuses, [200, 200]);
    assert.equal((await stopped).code, 0);
    assert.deepEqual(pids.filter(isRunning), []);
    upstreams.control.reset();
    close();
  });

  test('have written a log of calls that is whole', async () => {
    assert.match(await child.command('audit', 'verify'), /^The audit is as it was written/m);
  });
});

test('operators are told on their listener that two workers stop, until the last call is done', async () => {
  const child = await startWorkers(upstreams, { admin: { listen: { host: '127.0.0.1', port: 0 } } });
  const [, operators = ''] = /^Operators connect to (\S+)$/m.exec(child.output.stdout) ?? [];
  const hang = call(child, 'ctl.hang');
  await eventually(async () => (await metricOf(operators, 'calls_in_flight', 'service="ctl"')) === 1);
  const stopped = child.stop();
  await eventually(() => call(child, 'ctl.quick').then(() => false, isRefused));
  for (let count = 0; count < 4; count++) {
    const ready = await fetch(`${operators}/readyz`, { signal: AbortSignal.timeout(2_000) });
    assert.equal(ready.status, 503);
  }
  upstreams.control.gate.resolve();
  assert.equal((await hang).status, 200);
  assert.equal((await stopped).code, 0);
  upstreams.control.reset();
});

test('a worker that there are no descriptors for is started when there are some', async () => {
  const child = await startWorkers(upstreams);
  const limit = (count: string) => execFileSync('prlimit', [`--pid=${child.pid}`, `--nofile=${count}:`]);
  const [killed = 0, other] = workersOf(child);
  limit('3');
  process.kill(killed, 'SIGKILL');
  await eventually(() => /"worker not started".*EMFILE|EMFILE.*"worker not started"/.test(child.output.stderr));
  assert.deepEqual(workersOf(child), [other]);
  limit('1024');
  await eventually(() => workersOf(child).length === 2);
  await eventually(async () => (await workerOf(child.url, new Agent())) === 1);
});

test('two workers keep one limit between them, and end when the process that started them is killed', async () => {
  const child = await startWorkers(upstreams, { limits: { calls_per_token: 4 } });
  const agents = (await openConnections(child.url, 8)).map(({ agent }) => agent);
  const answers = agents.map((agent) => call(child, 'ctl.hang', agent));
  await eventually(async () => (await metricOf(child.url, 'http_refusals_total', 'rate_limited')) === 4);
  upstreams.control.gate.resolve();
  const statuses = (await Promise.all(answers)).map(({ status }) => status).sort();
  assert.deepEqual(statuses, [200, 200, 200, 200, 429, 429, 429, 429]);
  upstreams.control.reset();
  for (const agent of agents) agent.destroy();
  const pids = workersOf(child);
  assert.equal(pids.length, 2);
  await child.stop('SIGKILL');
  await eventually(() => !pids.some(isRunning));
});

test('one worker is the process itself; of two that cannot serve it is said once why', async () => {
  const child = await startWorkers(upstreams, { workers: 1 });
  assert.deepEqual(workersOf(child), []);
  const cwd = await scratchFolder();
  const run = async (settings: Record<string, unknown>) => {
    await writeFile(join(cwd, 'c.json'), configFile({ configs: [], tokens: [], settings }));
    return runCli(['serve', '--config', 'c.json', '--workers', '2'], { cwd });
  };
  const taken = await run({ listen: { host: '127.0.0.1', port: Number(new URL(child.url).port) } });
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /^switchboard: Port \d+ on 127\.0\.0\.1 is in use\..*\n$/);
  await writeFile(join(cwd, 'broken.db'), 'no database'.repeat(100));
  const broken = await run({ store: { url: 'sqlite:broken.db' } });
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /^switchboard: The store \S+broken\.db .*\n$/);
});
