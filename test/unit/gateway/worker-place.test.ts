import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shareLimits } from '../../../src/gateway/worker-place.ts';
import { settingsSchema } from '../../../src/settings/schema.ts';
import { toSettings } from '../../../src/settings/settings.ts';
import { parseYamlSource } from '../../../src/settings/yaml-source.ts';

const { limits } = toSettings(
  {
    document: settingsSchema.parse({}),
    secrets: new Map(),
    tokens: new Map(),
    certificates: new Map(),
    positions: parseYamlSource(''),
    digest: '',
    file: undefined,
  },
  {
    masterKey: undefined,
    masterKeyFile: undefined,
    url: undefined,
    apiKey: undefined,
    listen: undefined,
    logLevel: undefined,
    workers: undefined,
    lookup: () => undefined,
  },
);

test('one process has the limits as they are', () => {
  assert.deepEqual(shareLimits(limits, 1), limits);
});

test('limits of numbers are shared, and times are not', () => {
  const shared = shareLimits(limits, 3);
  assert.equal(shared.callsPerToken, 334);
  assert.equal(shared.connectionsPerCredential, 86);
  assert.equal(shared.callTimeoutMs, limits.callTimeoutMs);
  assert.equal(shared.bodyBytes, limits.bodyBytes);
});

test('however many share, each lets something in, and a body of the largest size', () => {
  const shared = shareLimits({ ...limits, calls: 1, callsPerUpstream: 2 }, 64);
  assert.equal(shared.calls, 1);
  assert.equal(shared.callsPerUpstream, 1);
  assert.ok(shared.bytesInFlight / 4 >= limits.bodyBytes);
});
