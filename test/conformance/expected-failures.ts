// Reads the failures that the specification makes impossible to avoid.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { ExpectedFailure } from './verdicts.ts';

const entry = z.strictObject({
  cells: z.string().min(1),
  scenario: z.string().min(1),
  checks: z.array(z.string().min(1)).min(1),
  sentence: z.string().min(1),
  page: z.string().startsWith('https://modelcontextprotocol.io/specification/'),
});

export function readExpectedFailures(): ExpectedFailure[] {
  const file = join(import.meta.dirname, 'expected-failures.json');
  const entries = z.array(entry).parse(JSON.parse(readFileSync(file, 'utf8')));
  return entries.flatMap(({ checks, ...rest }) => checks.map((check) => ({ ...rest, check })));
}
