// The benchmark's command. Options are in bench/README.md.

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './children.ts';
import { BASELINES, committedRatios, findWorseEachTime, type Worse } from './gate.ts';
import { CONNECTIONS, defaultGenerator, GENERATORS } from './load.ts';
import { describeCommit, describeMachine, describeVersions } from './machine.ts';
import { toText } from './report/text.ts';
import { writeReport } from './report/write-report.ts';
import { type Results, readResults, resultsFile, type ScenarioResult, writeResults } from './results.ts';
import type { Scenario, ScenarioSet } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';
import { runScenarios, type SuiteOptions } from './suite.ts';

const ROUNDS = { quick: 5, full: 7 };

const options = readOptions();
const set: ScenarioSet = options.full ? 'full' : 'quick';
const generator = oneOf('load', GENERATORS, options.load);
const seconds = generator === 'wrk' ? positiveInteger('seconds', options.seconds) : Number(options.seconds);
if (!(seconds > 0)) end(`--seconds takes a number above 0, not "${options.seconds}"`);
const scenarios = chosenScenarios();
const interruption = new AbortController();
const suiteOptions: SuiteOptions = {
  set,
  rounds: positiveInteger('rounds', options.rounds ?? String(ROUNDS[set])),
  seconds,
  seed: positiveInteger('seed', options.seed),
  generator,
  lanes: options.lanes?.split(','),
  interrupted: interruption.signal,
};

function readOptions() {
  try {
    return parseArgs({
      options: {
        full: { type: 'boolean', default: false },
        gate: { type: 'boolean', default: false },
        scenarios: { type: 'string' },
        lanes: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string', default: '1' },
        seed: { type: 'string', default: '1' },
        load: { type: 'string', default: defaultGenerator() },
        out: { type: 'string' },
      },
    }).values;
  } catch (error) {
    return end((error as Error).message);
  }
}

/** For what whoever typed the command can mend: it needs no stack. */
function end(reason: string): never {
  console.error(reason);
  process.exit(1);
}

function positiveInteger(option: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  return end(`--${option} takes a whole number from 1, not "${text}"`);
}

function oneOf<T extends string>(option: string, allowed: readonly T[], text: string): T {
  const found = allowed.find((value) => value === text);
  return found ?? end(`--${option} knows ${allowed.join(', ')}, not "${text}"`);
}

function chosenScenarios(): readonly Scenario[] {
  if (options.scenarios === undefined) return SCENARIOS.filter((each) => set === 'full' || each.set === 'quick');
  const names = SCENARIOS.map(({ name }) => name);
  const chosen = options.scenarios.split(',').map((name) => oneOf('scenarios', names, name));
  return SCENARIOS.filter(({ name }) => chosen.includes(name));
}

/** What to type for the same run. The place of the results is left out: it belongs to the machine. */
function commandLine(): string {
  const { full, gate: _gate, out: _out, ...others } = options;
  const given = Object.entries(others).filter(([name]) => process.argv.includes(`--${name}`));
  return [full ? 'npm run bench:full' : 'npm run bench', ...given.map(([name, value]) => `--${name} ${value}`)]
    .join(' ')
    .replace(' --', ' -- --');
}

function toResults(results: readonly ScenarioResult[], commit: string, date: string): Results {
  return {
    set,
    date,
    commit,
    command: commandLine(),
    seed: suiteOptions.seed,
    rounds: suiteOptions.rounds,
    secondsPerRound: seconds,
    connections: CONNECTIONS,
    generator,
    machine: describeMachine(),
    versions: describeVersions(),
    scenarios: results,
  };
}

async function measure(): Promise<void> {
  const [commit, date] = [describeCommit(), new Date().toISOString()];
  const results = toResults(await runScenarios(scenarios, suiteOptions), commit, date);
  // A part of the suite is shown, and replaces nothing.
  const { aborted } = interruption.signal;
  const isWhole = options.scenarios === undefined && options.lanes === undefined && !aborted;
  const file = options.out ?? (isWhole ? resultsFile(set) : undefined);
  if (file !== undefined) {
    mkdirSync(dirname(file), { recursive: true });
    writeResults(file, results);
  }
  if (options.out === undefined && isWhole) {
    if (set === 'full') execFileSync(process.execPath, ['bench/micro/run.ts'], { cwd: ROOT, stdio: 'ignore' });
    writeReport();
  }
  console.log(toText(results));
  if (results.scenarios.some(({ failure }) => failure !== undefined)) process.exitCode = 1;
}

async function gate(): Promise<void> {
  const committed = readResults(resultsFile('quick'))?.scenarios ?? [];
  const chosen = options.scenarios?.split(',');
  const expected = committedRatios(committed).filter(
    ({ scenario, lane }) => (chosen?.includes(scenario) ?? true) && (suiteOptions.lanes?.includes(lane) ?? true),
  );
  if (expected.length === 0) end('no ratio of the gateway is committed to compare with: npm run bench');
  const worse = await findWorseEachTime(
    expected,
    (names) =>
      runScenarios(
        SCENARIOS.filter(({ name }) => names.includes(name)),
        { ...suiteOptions, lanes: suiteOptions.lanes && [...suiteOptions.lanes, ...BASELINES] },
      ),
    (tries, each) => {
      for (const one of each) console.log(`try ${tries}: ${inWords(one)}`);
    },
  );
  if (worse.length > 0) process.exitCode = 1;
  else console.log(`none of ${expected.length} ratios of the gateway is more than 15 % worse than the committed one`);
}

function inWords({ scenario, lane, baseline, committed, measured }: Worse): string {
  const now = measured === undefined ? 'not measured' : `${measured.toFixed(2)} × ${baseline}`;
  return `${scenario}, ${lane}: ${now}, committed ${committed.toFixed(2)} ×`;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort());
await (options.gate ? gate() : measure());
// What an interrupted scenario still waits for may never come.
if (interruption.signal.aborted) process.exit(1);
