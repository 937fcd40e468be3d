// The benchmark: CPU per small tools/call through the gateway, compared with a bare pipe in the same run.
// Options are in bench/README.md.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { cpuMsOfTree } from './cpu.ts';
import { CONNECTIONS, defaultGenerator, GENERATORS, generateLoad } from './load.ts';
import { type Report, type Round, type ScenarioRounds, toReport, toTable } from './report.ts';
import {
  CALL_ID,
  ERAS,
  type Era,
  type RunningTarget,
  startTarget,
  startUpstream,
  stopChild,
  TARGET_NAMES,
  type Upstream,
} from './targets.ts';

interface Lane {
  readonly era: Era;
  readonly upstream: Upstream;
  readonly target: RunningTarget;
  readonly rounds: Round[];
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '21' },
    seconds: { type: 'string', default: '1' },
    targets: { type: 'string', default: TARGET_NAMES.join() },
    load: { type: 'string', default: defaultGenerator() },
    'result-bytes': { type: 'string', default: '200' },
    out: { type: 'string', default: join(import.meta.dirname, 'results', 'latest.json') },
    assert: { type: 'string' },
  },
});
const rounds = positiveInteger('rounds', options.rounds);
const generator = oneOf('load', GENERATORS, options.load);
const seconds = generator === 'wrk' ? positiveInteger('seconds', options.seconds) : Number(options.seconds);
if (!(seconds > 0)) throw new Error(`--seconds takes a number above 0, not "${options.seconds}"`);
const resultBytes = positiveInteger('result-bytes', options['result-bytes']);
const targetNames = options.targets.split(',').map((name) => oneOf('targets', TARGET_NAMES, name));
const maxRatio = options.assert === undefined ? undefined : Number(options.assert);
if (maxRatio !== undefined && !(maxRatio > 0 && targetNames.includes('pipe') && targetNames.includes('gateway'))) {
  throw new Error('--assert takes a ratio such as 1.4 and needs the targets pipe and gateway');
}

function positiveInteger(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${option} takes a whole number from 1, not "${text}"`);
  return value;
}

function oneOf<T extends string>(option: string, allowed: readonly T[], text: string): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw new Error(`--${option} knows ${allowed.join(', ')}, not "${text}"`);
  return found;
}

/** Starts everything into `lanes`, so that what was started before a failure can still be stopped. */
async function startLanes(lanes: Lane[], directory: string): Promise<void> {
  for (const era of ERAS) {
    const upstream = await startUpstream(era, resultBytes);
    for (const name of targetNames) {
      const own = join(directory, `${era}-${name}`);
      mkdirSync(own);
      lanes.push({ era, upstream, target: await startTarget(name, era, upstream, own), rounds: [] });
    }
  }
}

/** One call whose answer must be the upstream's result under our id: a fast wrong answer is not a result. */
async function verify({ era, target }: Lane): Promise<void> {
  const { url, headers, body } = target.call;
  const response = await fetch(url, { method: 'POST', headers, body });
  const text = await response.text();
  if (response.status === 200 && isExpectedAnswer(text)) return;
  throw new Error(`${era} ${target.name} answered ${response.status} with a wrong answer: ${text.slice(0, 500)}`);
}

function isExpectedAnswer(text: string): boolean {
  try {
    const { jsonrpc, id, result } = JSON.parse(text);
    return jsonrpc === '2.0' && id === CALL_ID && /^mock result x*$/.test(result.content[0].text);
  } catch {
    return false;
  }
}

async function upstreamCalls(upstream: Upstream): Promise<number> {
  return Number(await (await fetch(new URL('/calls', upstream.url))).text());
}

async function measure(lane: Lane): Promise<Round> {
  const { pid, name, call } = lane.target;
  const callsBefore = await upstreamCalls(lane.upstream);
  const cpuBefore = cpuMsOfTree(pid);
  const result = await generateLoad(generator, call, seconds);
  const cpuMs = cpuMsOfTree(pid) - cpuBefore;
  const calls = (await upstreamCalls(lane.upstream)) - callsBefore;
  const label = `${lane.era} ${name}`;
  if (result.errors > 0) throw new Error(`${label}: ${result.errors} of ${result.completed} calls failed`);
  // Calls in flight when the round ends reach the upstream without being counted as completed.
  const uncounted = calls - result.completed;
  if (uncounted < 0 || uncounted > CONNECTIONS) {
    throw new Error(`${label}: ${result.completed} answers, but the upstream saw ${calls} calls`);
  }
  await verify(lane);
  return {
    completed: result.completed,
    cpuUsPerCall: (cpuMs * 1000) / result.completed,
    callsPerSecond: result.completed / result.seconds,
    p50Us: result.p50Us,
    p99Us: result.p99Us,
  };
}

/**
 * Interleaved rounds. The targets of one era run next to each other, because their ratio is what is reported; their order
 * is rotated from round to round, so that a machine that slows down slows each of them.
 */
async function measureAll(lanes: readonly Lane[]): Promise<void> {
  for (const lane of lanes) await verify(lane);
  for (const lane of lanes) await measure(lane); // Warm-up: compiled code and open connections, not counted.
  for (let round = 0; round < rounds; round++) {
    for (const era of ERAS) {
      const ofEra = lanes.filter((lane) => lane.era === era);
      const first = round % ofEra.length;
      for (const lane of [...ofEra.slice(first), ...ofEra.slice(0, first)]) lane.rounds.push(await measure(lane));
    }
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
}

function toScenarios(lanes: readonly Lane[]): ScenarioRounds[] {
  return ERAS.map((era) => ({
    era,
    targets: lanes.filter((lane) => lane.era === era).map((lane) => ({ name: lane.target.name, rounds: lane.rounds })),
  }));
}

/** One line for every gateway whose median ratio is above `limit`. */
function violations(report: Report, limit: number): string[] {
  return report.scenarios.flatMap(({ era, targets }) =>
    targets
      .filter(({ name, ratioToPipe }) => name === 'gateway' && ratioToPipe !== null && ratioToPipe.median > limit)
      .map(
        ({ ratioToPipe }) => `${era}: the gateway costs ${ratioToPipe?.median.toFixed(2)} × the pipe, above ${limit}`,
      ),
  );
}

/** What to type for the same run. The place of the results file is left out: it belongs to the machine. */
function commandLine(): string {
  const { out: _out, assert: _assert, ...repeated } = options;
  return ['npm run bench --', ...Object.entries(repeated).map(([name, value]) => `--${name} ${value}`)].join(' ');
}

async function main(): Promise<void> {
  const lanes: Lane[] = [];
  const directory = mkdtempSync(join(tmpdir(), 'switchboard-bench-'));
  try {
    await startLanes(lanes, directory);
    await measureAll(lanes);
  } finally {
    await Promise.all(lanes.flatMap(({ target, upstream }) => [stopChild(target.child), stopChild(upstream.child)]));
    rmSync(directory, { recursive: true });
  }
  const load = { generator, connections: CONNECTIONS, rounds, secondsPerRound: seconds, resultBytes };
  const report = toReport(toScenarios(lanes), load, commandLine());
  mkdirSync(dirname(options.out), { recursive: true });
  writeFileSync(options.out, `${JSON.stringify(report, null, 2)}\n`);
  console.log(toTable(report));
  for (const violation of maxRatio === undefined ? [] : violations(report, maxRatio)) {
    console.error(violation);
    process.exitCode = 1;
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
await main();
