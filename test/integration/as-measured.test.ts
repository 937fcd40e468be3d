// What the benchmark measures keeps the rules (design §3): what is promised of bytes, policy and isolation is tested of the
// gateway as bench/targets.ts starts it, by program, flags and settings, a process of its own that records every call.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { AS_MEASURED } from '../support/gateway.ts';

const FILES = [
  'integration/fidelity',
  'integration/prompt-and-resource-policy',
  'integration/isolation-storm',
  'integration/account-isolation',
  'property/listed-is-callable',
];
/** Where the others are of catalogues in this process, without a gateway. */
const ONLY: Readonly<Record<string, string>> = { 'property/listed-is-callable': 'hidden and missing are one answer' };

for (const file of FILES) {
  test(`${file} holds of the gateway as it is measured`, { timeout: 120_000 }, async () => {
    // With the context of this run the file would report to it, and not say by its exit code how it went.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const flags = ['--test-reporter=tap', `--test-name-pattern=${ONLY[file] ?? '.'}`];
    const child = spawn(process.execPath, [...flags, join(import.meta.dirname, '..', `${file}.test.ts`)], {
      env: { ...env, [AS_MEASURED]: '1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    assert.equal(code, 0, output.slice(-5_000));
    assert.match(output, /^# pass [1-9]/m);
    assert.match(output, /^# (?:skipped|todo) 0$/m);
  });
}
