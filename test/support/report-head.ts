// The head of a report that is committed: what ran, where, and of which commit.

import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const GIBIBYTE = 2 ** 30;

function describeCommit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
  const commit = git('rev-parse', '--short', 'HEAD');
  return git('status', '--porcelain') === '' ? commit : `${commit} dirty`;
}

/** Taken when the run begins: the commit is the one that runs. */
export function reportHead(command: string): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU';
  return [
    `commit:  ${describeCommit()}`,
    `date:    ${new Date().toISOString()}`,
    `command: ${command}`,
    `machine: ${cpus().length} cores (${model}), ${(totalmem() / GIBIBYTE).toFixed(1)} GiB, Node ${process.version}`,
  ].join('\n');
}
