// SIGKILL in the middle of writes, on both stores; test/full/crash-storm.test.ts does it 500 times on each.

import { describe } from 'node:test';
import { testCrashStorms } from '../support/crash-storm.ts';

describe('after SIGKILL at any moment', { concurrency: true }, () => testCrashStorms(10));
