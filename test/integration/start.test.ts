// Starting: the address is taken before the store is written, nothing is served before the configuration is in force, and
// each edit is read once.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { GatewayError } from '../../src/domain/errors.ts';
import { createGateway } from '../../src/gateway.ts';
import { readEnvironment } from '../../src/settings/environment.ts';
import { loadSettings } from '../../src/settings/load-settings.ts';
import type { Settings } from '../../src/settings/settings.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { scratchFolder } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { type ConfigFileOptions, configFile, startGateway, tokenValue, variablesOf } from '../support/gateway.ts';
import { findDeadPort } from '../support/local-server.ts';
import { mcpRequest, send } from '../support/mcp-http.ts';

const NOBODY = 'http://127.0.0.1:9/mcp';

async function settingsIn(folder: string, options: ConfigFileOptions): Promise<Settings> {
  const file = join(folder, 'start.json');
  await writeFile(file, configFile(options));
  const outcome = await loadSettings(file, readEnvironment(variablesOf(options)));
  assert.ok(outcome.ok);
  return outcome.settings;
}

function collectedLog(): { events: string[]; log: ReturnType<typeof createLogger> } {
  const events: string[] = [];
  const write = (line: string) => events.push(JSON.parse(line).event);
  return { events, log: createLogger({ level: 'info', destination: { write } }) };
}

test('a second start on a port in use leaves the store of the running gateway as it is', async (t) => {
  const folder = await scratchFolder();
  const running = await startGateway({ folder, configs: [{ name: 'one', url: NOBODY }] });
  t.after(() => running.close());
  const file = join(folder, 'store/switchboard.db');
  const epoch = () => {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      return database.prepare('SELECT epoch FROM accounts').get()?.epoch;
    } finally {
      database.close();
    }
  };
  const before = epoch();
  const port = Number(new URL(running.url).port);
  const settings = await settingsIn(folder, {
    configs: [{ name: 'two', url: NOBODY }],
    settings: { listen: { port } },
  });
  const second = await createGateway({ settings, masterKey: {}, log: createLogger({ level: 'silent' }) });
  await assert.rejects(
    second.listen(),
    (error) => error instanceof GatewayError && / is in use\. /.test(error.message),
  );
  assert.equal(epoch(), before);
});

test('until its configuration is in force a gateway is live, not ready, and answers 503', async (t) => {
  const folder = await scratchFolder();
  const port = await findDeadPort();
  const url = `http://127.0.0.1:${port}`;
  const settings = await settingsIn(folder, {
    configs: [{ name: 'one', url: NOBODY }],
    settings: { listen: { port } },
  });
  const gateway = await createGateway({ settings, masterKey: {}, log: createLogger({ level: 'silent' }) });
  t.after(() => gateway.close());
  const other = new DatabaseSync(join(folder, 'store/switchboard.db'));
  t.after(() => other.isOpen && other.close());
  other.exec('BEGIN IMMEDIATE');
  const listening = gateway.listen();
  const get = (path: string) => send(`${url}${path}`, { method: 'GET' });
  const live = await eventually(() => get('/livez').catch(() => undefined));
  assert.equal(live.status, 200);
  assert.equal((await get('/readyz')).status, 503);
  const ping = { ...mcpRequest('ping'), token: tokenValue('agent') };
  for (const refused of [await send(`${url}/mcp`, ping), await get('/v1/explain'), await get('/metrics')]) {
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1'], refused.text);
    assert.match(String(refused.message.message), /is starting.*Try again/);
  }
  other.exec('COMMIT');
  other.close();
  await listening;
  assert.equal((await get('/readyz')).status, 200);
  assert.equal((await send(`${url}/mcp`, ping)).status, 200);
});

test('a gateway that cannot apply its configuration gives its port back', async () => {
  const folder = await scratchFolder();
  const running = await startGateway({ folder, configs: [{ name: 'one', url: NOBODY }] });
  await running.close();
  const port = await findDeadPort();
  const database = new DatabaseSync(join(folder, 'store/switchboard.db'));
  database.exec("UPDATE mcp_configs SET managed_by = 'api'");
  database.close();
  const settings = await settingsIn(folder, {
    configs: [{ name: 'one', url: NOBODY }],
    settings: { listen: { port } },
  });
  const gateway = await createGateway({ settings, masterKey: {}, log: createLogger({ level: 'silent' }) });
  await assert.rejects(gateway.listen(), /'one' already belongs to/);
  await assert.rejects(send(`http://127.0.0.1:${port}/livez`, { method: 'GET' }), { code: 'ECONNREFUSED' });
});

test('an edit is read once, and one that changes nothing not at all', async (t) => {
  const folder = await scratchFolder();
  const settings = await settingsIn(folder, { configs: [{ name: 'one', url: NOBODY }] });
  const { log, events } = collectedLog();
  const readings = () => events.filter((event) => event === 'configuration in force').length;
  const gateway = await createGateway({ settings, masterKey: {}, log });
  t.after(() => gateway.close());
  await gateway.listen();
  assert.equal(readings(), 1);
  await gateway.apply((await settingsIn(folder, { configs: [{ name: 'two', url: NOBODY }] })).declared);
  assert.equal(readings(), 2);
  await gateway.apply((await settingsIn(folder, { configs: [{ name: 'two', url: NOBODY }] })).declared);
  assert.equal(readings(), 2);
});
