// `npm run test:full`: the proofs that take too long for `npm test`, one after the other. What they print goes to the
// terminal and, under a head that says what ran where, to test/reports/full.txt.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reportHead } from '../support/report-head.ts';

const ROOT = join(import.meta.dirname, '../..');
const REPORT = join(ROOT, 'test/reports/full.txt');

const head = reportHead('npm run test:full');
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
