// Upstreams that are commands: declared in the config file, run under the supervisor, and gone with the gateway.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { callTool, listedTools } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { type ConfigOption, startGateway } from '../support/gateway.ts';
import { childrenOf, isRunning, processesMarked } from '../support/marked-processes.ts';
import { connectClient } from '../support/sdk-clients.ts';
import { startServe } from '../support/serve-child.ts';

const SERVER = join(import.meta.dirname, '../support/stdio-server.ts');
const EVERYTHING = fileURLToPath(import.meta.resolve('@modelcontextprotocol/server-everything/dist/index.js'));
const IS_LINUX = { skip: process.platform === 'linux' ? false : 'processes are looked for in /proc' };

interface Told {
  readonly name?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, unknown>>;
  readonly more?: Readonly<Record<string, unknown>>;
  readonly credential?: string;
}

/** A config that is a command, ours unless told, and the mark of its processes. */
function aCommand(told: Told = {}): ConfigOption & { readonly mark: string } {
  const mark = `mark-${randomBytes(8).toString('hex')}`;
  const { name = 'files', args = [SERVER, 'legacy'], env, credential, more } = told;
  const stdio = { command: process.execPath, args, env: { MARK: mark, ...env }, ...more };
  return { name, mark, more: { stdio }, ...(credential === undefined ? {} : { credential }) };
}

async function textOf(url: string, token: string, tool: string, args: object = {}): Promise<string> {
  const { result, error } = await callTool(url, token, tool, args);
  if (error !== undefined) assert.fail(error.message);
  return result.content[0].text;
}

describe('a command', { concurrency: 2 }, () => {
  test('that is a published server works, and works again after it was killed', IS_LINUX, async () => {
    const config = aCommand({ name: 'everything', args: [EVERYTHING, 'stdio'] });
    const gateway = await startGateway({ configs: [config] });
    try {
      const { url } = gateway;
      const token = gateway.token();
      await eventually(async () => (await listedTools(url, token)).includes('everything.get-sum'));
      assert.match(await textOf(url, token, 'everything.echo', { message: 'hello' }), /hello/);
      const [{ pid } = assert.fail('it does not run')] = processesMarked(config.mark);
      process.kill(pid, 'SIGKILL');
      await eventually(async () => {
        const { error } = await callTool(url, token, 'everything.echo', { message: 'again' });
        // Only a call that was on its way when it ended may fail, and it says why.
        if (error !== undefined) assert.match(error.message, /its process was ended by SIGKILL/);
        return error === undefined;
      });
      assert.notEqual(processesMarked(config.mark)[0]?.pid, pid);
    } finally {
      // It does not end with its stdin, which would be waited for.
      for (const { pid } of processesMarked(config.mark)) process.kill(pid);
      await gateway.close();
    }
  });

  test('is ended with what it has started when the gateway is killed, even if it will not', IS_LINUX, async () => {
    const [config, published] = [aCommand(), aCommand({ name: 'everything', args: [EVERYTHING, 'stdio'] })];
    const { url, token, pid, stop } = await startServe({ configs: [config, published] });
    await listedTools(url, token());
    await textOf(url, token(), 'files.stubborn');
    const left = Number(await textOf(url, token(), 'files.litter'));
    const [supervisor] = childrenOf(pid).filter(({ command }) => command.includes('supervisor'));
    assert.equal(processesMarked(published.mark).length, 1);
    await stop('SIGKILL');
    assert.ok(processesMarked(config.mark).length > 0, 'what ignores SIGTERM is still there');
    const isAlone = () => [config, published].every(({ mark }) => processesMarked(mark).length === 0);
    await eventually(() => isAlone() && !isRunning(left) && !isRunning(supervisor!.pid));
  });

  test('is ended with what it has started when the gateway is stopped', IS_LINUX, async () => {
    const config = aCommand();
    const { url, token, pid, stop } = await startServe({ configs: [config] });
    await listedTools(url, token());
    const left = Number(await textOf(url, token(), 'files.litter'));
    assert.ok(isRunning(left));
    const supervisors = childrenOf(pid).filter(({ command }) => command.includes('supervisor'));
    assert.equal(supervisors.length, 1);
    const { code } = await stop();
    assert.equal(code, 0);
    assert.deepEqual(processesMarked(config.mark), []);
    assert.ok(!isRunning(left) && !isRunning(supervisors[0]!.pid));
  });

  test('sees its own variables and nothing of the gateway', async () => {
    const env = { PLAIN: 'text', KEY: { from: 'grant' }, OTHER: { secret: 'OTHER' } };
    const config = aCommand({ env, credential: 'granted-value' });
    process.env.SWITCHBOARD_TEST_CANARY = 'canary';
    const gateway = await startGateway({ configs: [config], secrets: { OTHER: 'other-value' } });
    try {
      const { PATH, HOME, MARK, PLAIN, KEY, OTHER, ...rest } = JSON.parse(
        await textOf(gateway.url, gateway.token(), 'files.environment'),
      );
      assert.deepEqual([PATH, HOME, MARK], [process.env.PATH, process.env.HOME, config.mark]);
      assert.deepEqual([PLAIN, KEY, OTHER], ['text', 'granted-value', 'other-value']);
      const inherited = /^(?:USER|LOGNAME|LANG|LC_[A-Z]+|TZ|TMPDIR|SHELL|TERM)$/;
      assert.deepEqual(
        Object.keys(rest).filter((name) => !inherited.test(name)),
        [],
      );
    } finally {
      delete process.env.SWITCHBOARD_TEST_CANARY;
      await gateway.close();
    }
  });

  test('that is changed in the file is started anew, and one that is not goes on', async () => {
    const [changing, staying] = [aCommand(), aCommand({ name: 'other' })];
    const gateway = await startGateway({ configs: [changing, staying] });
    try {
      const pidsOf = () =>
        Promise.all(['files.pid', 'other.pid'].map((tool) => textOf(gateway.url, gateway.token(), tool)));
      await listedTools(gateway.url, gateway.token());
      const [before, other] = await pidsOf();
      const { stdio } = changing.more as { readonly stdio: object };
      await gateway.reload({
        configs: [{ ...changing, more: { stdio: { ...stdio, env: { MARK: 'new' } } } }, staying],
      });
      const [after, same] = await pidsOf();
      assert.notEqual(after, before);
      assert.equal(same, other);
    } finally {
      await gateway.close();
    }
  });

  test('of either era, one for all or one for each session, serves clients of either era with progress', async () => {
    const configs = ['legacy', 'modern'].flatMap((era) =>
      ['credential', 'session'].map((how) =>
        aCommand({ name: `${era}${how}`, args: [SERVER, era], more: { process: how } }),
      ),
    );
    const gateway = await startGateway({ configs });
    try {
      await Promise.all(
        (['v1', 'v2 pinned'] as const).map(async (kind) => {
          const client = await connectClient(kind, gateway.mcpUrl, gateway.token());
          const names = await eventually(async () => {
            const found = await client.toolNames();
            return found.filter((name) => name.endsWith('.progress')).length === configs.length && found;
          });
          for (const { name } of configs) {
            assert.ok(names.includes(`${name}.echo`));
            const called = await client.call(`${name}.progress`);
            assert.deepEqual(called, { text: 'done', progress: [1] }, `${kind} ${name}`);
            const long = 'long '.repeat(30_000);
            const line = await client.call(`${name}.echo`, { text: long });
            assert.deepEqual(JSON.parse(line.text).params.arguments, { text: long }, `${kind} ${name}`);
          }
          await client.close();
        }),
      );
    } finally {
      await gateway.close();
    }
  });

  test('that cannot be started is named to whoever calls it', async () => {
    const gateway = await startGateway({
      configs: [{ name: 'files', more: { stdio: { command: 'no-such-command' } } }],
    });
    try {
      const detail = await eventually(async () => {
        const answer = await fetch(`${gateway.url}/readyz?detail`, {
          headers: { authorization: `Bearer ${gateway.apiKey}` },
        });
        return /"message":"(its command[^}]*?)","/.exec(await answer.text())?.[1];
      });
      assert.match(detail, /its command \\"no-such-command\\" is not found/);
    } finally {
      await gateway.close();
    }
  });
});
