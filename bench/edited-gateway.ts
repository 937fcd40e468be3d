// A gateway whose configuration is edited while it is measured.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { readProbe } from './ask-probe.ts';
import { toCall } from './calls.ts';
import { ROOT } from './children.ts';
import { cpuMsBetween, readCpu } from './cpu.ts';
import type { Round } from './figures.ts';
import { configName } from './gateway-config.ts';
import type { Context } from './scenario.ts';
import { openTarget } from './stand.ts';
import type { RunningTarget, Upstream } from './targets.ts';
import { timeList } from './time-list.ts';

const ERA = 'modern';
export const EDITED_TOOLS = 100;

/** A gateway with so many configs in its file and one that was made over REST, which a token of its own is granted with them. */
export class EditedGateway {
  readonly #target: RunningTarget;
  readonly #key: string;
  readonly #tools: number;
  #id = '';
  #token = '';
  #isNarrow = false;

  static async open(context: Context, lane: string, upstream: Upstream, configs: number): Promise<EditedGateway> {
    const gateway = { configs: Math.max(1, configs - 1) };
    const target = await openTarget(context, { lane, target: 'gateway', era: ERA, upstream, options: { gateway } });
    const command = ['src/switchboard.cjs', 'keys', 'create', 'bench', '--config'];
    const file = join(context.directory, lane, 'switchboard.json');
    const env = { ...process.env, BENCH_TOKEN_0: target.endpoint.token };
    const key = execFileSync(process.execPath, [...command, file], {
      cwd: ROOT,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    const edited = new EditedGateway(target, key, configs * EDITED_TOOLS);
    await edited.#prepare(
      upstream,
      Array.from({ length: configs - 1 }, (_, index) => configName(index)),
    );
    return edited;
  }

  private constructor(target: RunningTarget, key: string, tools: number) {
    this.#target = target;
    this.#key = key;
    this.#tools = tools;
  }

  /** The edit, and the list that shows it. */
  editAndList(): Promise<Round> {
    return this.#edit(async (target) => {
      await timeList(target, this.#isNarrow ? this.#tools - EDITED_TOOLS + 1 : this.#tools);
    });
  }

  /** The edit, and a call that it has taken or given. */
  editAndCall(): Promise<Round> {
    return this.#edit(async ({ endpoint }) => {
      const { url, headers, body } = toCall({ ...endpoint, tool: 'edited.tool_1' });
      const text = await (await fetch(url, { method: 'POST', headers, body })).text();
      if (text.includes('mock result') === this.#isNarrow)
        throw new Error(`after the edit a call was answered ${text.slice(0, 300)}`);
    });
  }

  /** Time and CPU of the edit and what shows it, and the longest that nothing else was done meanwhile. */
  async #edit(show: (target: RunningTarget) => Promise<void>): Promise<Round> {
    const { child, pid, endpoint } = this.#target;
    this.#isNarrow = !this.#isNarrow;
    await readProbe(child);
    const before = readCpu(pid);
    const startedMs = performance.now();
    await this.#ask(`/mcp-configs/${this.#id}`, { allowed_tools: this.#isNarrow ? ['echo'] : ['*'] });
    await show({ ...this.#target, endpoint: { ...endpoint, token: this.#token } });
    const waitMs = performance.now() - startedMs;
    const cpuMs = cpuMsBetween(before, readCpu(pid));
    const probe = await readProbe(child);
    return { waitMs, cpuMs, ...(probe === undefined ? {} : { loopDelayMaxMs: probe.loopDelayMaxMs }) };
  }

  async #prepare({ url }: Upstream, granted: readonly string[]): Promise<void> {
    const made = await this.#ask('/mcp-configs', { name: 'edited', endpoint: url, allowed_tools: ['*'] });
    this.#id = made.id ?? '';
    const grants = [...granted, 'edited'].map((name) => ({ mcp_config: name }));
    this.#token = (await this.#ask('/mcp-tokens', { name: 'edits', grants })).token ?? '';
  }

  /** A new key is known to the gateway within half a second. */
  async #ask(path: string, body: object, triesLeft = 20): Promise<{ id?: string; token?: string }> {
    const answer = await fetch(new URL(`/v1${path}`, this.#target.endpoint.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (answer.ok) return JSON.parse(text);
    if (answer.status !== 401 || triesLeft === 0)
      throw new Error(`${path}: HTTP ${answer.status}: ${text.slice(0, 300)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return this.#ask(path, body, triesLeft - 1);
  }
}
