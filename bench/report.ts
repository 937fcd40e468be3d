// What the rounds come to: medians with their range, ratios to the pipe taken round by round, as JSON and as a table.

import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { cpus, release, type as systemType } from 'node:os';
import type { Era, TargetName } from './targets.ts';

/** One timed round of one target. */
export interface Round {
  readonly completed: number;
  readonly cpuUsPerCall: number;
  readonly callsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface TargetRounds {
  readonly name: TargetName;
  readonly rounds: readonly Round[];
}

export interface ScenarioRounds {
  readonly era: Era;
  readonly targets: readonly TargetRounds[];
}

interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

interface TargetReport extends TargetRounds {
  readonly cpuUsPerCall: Spread;
  readonly callsPerSecond: Spread;
  readonly p50Us: Spread;
  readonly p99Us: Spread;
  /** CPU per call divided by the pipe's of the same round; `null` when the pipe was not measured. */
  readonly ratioToPipe: Spread | null;
}

export interface Report {
  readonly date: string;
  readonly commit: string;
  readonly command: string;
  readonly node: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly kernel: string };
  readonly load: LoadDescription;
  readonly scenarios: readonly { readonly era: Era; readonly targets: readonly TargetReport[] }[];
}

export interface LoadDescription {
  readonly generator: string;
  readonly connections: number;
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly resultBytes: number;
}

/** Rounds of the same index belong together: they ran next to each other, so that their ratio cancels the machine's mood. */
export function toReport(scenarios: readonly ScenarioRounds[], load: LoadDescription, command: string): Report {
  return {
    date: new Date().toISOString(),
    commit: commitName(),
    command,
    node: process.version,
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      kernel: `${systemType()} ${release()}`,
    },
    load,
    scenarios: scenarios.map(({ era, targets }) => {
      const pipe = targets.find(({ name }) => name === 'pipe');
      return { era, targets: targets.map((target) => toTargetReport(target, pipe)) };
    }),
  };
}

function toTargetReport(target: TargetRounds, pipe: TargetRounds | undefined): TargetReport {
  const spread = (key: keyof Round) => toSpread(target.rounds.map((round) => round[key]));
  const ratios = target.rounds.flatMap((round, index) => {
    const pipeRound = pipe?.rounds[index];
    return pipeRound === undefined ? [] : [round.cpuUsPerCall / pipeRound.cpuUsPerCall];
  });
  return {
    ...target,
    cpuUsPerCall: spread('cpuUsPerCall'),
    callsPerSecond: spread('callsPerSecond'),
    p50Us: spread('p50Us'),
    p99Us: spread('p99Us'),
    ratioToPipe: ratios.length === 0 ? null : toSpread(ratios),
  };
}

function toSpread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    min: at(0),
    max: at(sorted.length - 1),
  };
}

function commitName(): string {
  try {
    const options = { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'ignore'] } satisfies ExecFileSyncOptions;
    return execFileSync('git', ['describe', '--always', '--dirty'], options).toString().trim();
  } catch {
    return 'none';
  }
}

const HEADINGS = ['', 'CPU µs per call', '', 'calls/s', 'p50 µs', 'p99 µs', '× pipe', ''];

/** The table people read; every number is a median over the rounds, with min–max beside what is compared. */
export function toTable(report: Report): string {
  const { machine, load } = report;
  const sections = report.scenarios.map(({ era, targets }) => {
    const rows = targets.map((target) => [
      target.name,
      target.cpuUsPerCall.median.toFixed(1),
      range(target.cpuUsPerCall, 1),
      target.callsPerSecond.median.toFixed(0),
      target.p50Us.median.toFixed(0),
      target.p99Us.median.toFixed(0),
      target.ratioToPipe === null ? '–' : target.ratioToPipe.median.toFixed(2),
      target.ratioToPipe === null ? '' : range(target.ratioToPipe, 2),
    ]);
    return `${era} client → ${era} upstream, tools/call\n${alignColumns([HEADINGS, ...rows])}`;
  });
  const facts = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}; Node ${report.node}; commit ${report.commit}; ${report.date}`,
    `${load.generator}, ${load.connections} connections, ${load.rounds} rounds of ${load.secondsPerRound} s, results of ${load.resultBytes} bytes`,
  ];
  return [...sections, facts.join('\n')].join('\n\n');
}

function range(spread: Spread, digits: number): string {
  return `(${spread.min.toFixed(digits)}–${spread.max.toFixed(digits)})`;
}

function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const alignCell = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(alignCell).join('  ').trimEnd()}`).join('\n');
}
