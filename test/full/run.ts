// `npm run test:full`: the proofs that take too long for `npm test`, one after the other. What they print goes to the
// terminal and, under a head that says what ran where, to test/reports/full.txt.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const REPORT = join(ROOT, 'test/reports/full.txt');
const GIBIBYTE = 2 ** 30;

function describeCommit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
  const commit = git('rev-parse', '--short', 'HEAD');
  return git('status', '--porcelain') === '' ? commit : `${commit} dirty`;
}

function describeRun(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU';
  return [
    `commit:  ${describeCommit()}`,
    `date:    ${new Date().toISOString()}`,
    'command: npm run test:full',
    `machine: ${cpus().length} cores (${model}), ${(totalmem() / GIBIBYTE).toFixed(1)} GiB, Node ${process.version}`,
  ].join('\n');
}

const head = describeRun();
const files = globSync('test/full/*.test.ts', { cwd: ROOT }).sort();
const child = spawn(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=spec', ...files], {
  cwd: ROOT,
  stdio: ['ignore', 'pipe', 'inherit'],
});
let printed = '';
child.stdout.setEncoding('utf8').on('data', (text: string) => {
  process.stdout.write(text);
  printed += text;
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal));
const [code] = (await once(child, 'close')) as [number | null];
mkdirSync(join(ROOT, 'test/reports'), { recursive: true });
// Stacks name files by where this checkout happens to be.
writeFileSync(REPORT, `${head}\n\n${printed.replaceAll(`${ROOT}/`, '')}`);
process.exitCode = code ?? 1;
