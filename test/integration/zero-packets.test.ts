// Refused addresses are refused before a packet leaves, proven where packets can be counted: in a network namespace in
// which every address leads to the loopback device. Nothing here can reach a real network.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const DIALER = join(import.meta.dirname, '..', 'support', 'dial-refused-addresses.ts');
const EVERYWHERE_TO_LOOPBACK =
  'ip link set lo up && ip route add local default dev lo && ip -6 route add local default dev lo && exec "$0" "$@"';

function inNamespace(...command: string[]): string[] {
  return ['--net', 'sh', '-c', EVERYWHERE_TO_LOOPBACK, ...command];
}

const canUnshare = spawnSync('unshare', inNamespace('true')).status === 0;

test('no form of a refused address is sent a packet, as a literal or behind a name, and every admitted one is', {
  skip: canUnshare ? false : 'needs the right to make a network namespace (unshare, ip)',
}, async (t) => {
  const { stdout } = await promisify(execFile)('unshare', inNamespace(process.execPath, DIALER));
  const { refused, accepted, packets } = JSON.parse(stdout);
  t.diagnostic(`${refused} refused forms: ${packets.refused} packets; ${accepted} admitted: ${packets.accepted}`);
  assert.equal(packets.refused, 0);
  // A connection attempt and its refusal, once for the literal and once for the name.
  assert.ok(packets.accepted >= 4 * accepted, `${packets.accepted} packets`);
});
