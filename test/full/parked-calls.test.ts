// Calls that wait for a person hold up nobody else.

import { test } from 'node:test';
import { proveNeighboursAreAsFast, proveOneIsAsFast } from '../support/parked-calls-proof.ts';

test('64 calls that wait for a person leave the p99 of others on their credential within 10 % of that on another', (t) =>
  proveNeighboursAreAsFast(t, { blocks: 31, callsPerBlock: 1_000 }));

test('64 calls that wait for a person leave the p99 of others on their credential within 10 % of what it is without them', (t) =>
  proveOneIsAsFast(t, { blocks: 31, callsPerBlock: 1_000 }));
