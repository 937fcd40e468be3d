// SIGKILL in the middle of writes, 500 times on each store.

import { describe } from 'node:test';
import { testCrashStorms } from '../support/crash-storm.ts';

describe('after SIGKILL at any moment', { concurrency: true }, () => testCrashStorms(500, true));
