import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type ChangeDeps, COMMAND, change } from '../../../src/control-plane/change.ts';
import { createDevboxToken } from '../../../src/control-plane/devbox-tokens.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { aConfig, aDevbox, aToken } from '../../support/store-objects.ts';

const PEPPER = Buffer.alloc(32, 1);
let nowMs = 1000;
let directory: string;
let deps: ChangeDeps;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchboard-devbox-tokens-'));
  deps = { store: await openSqliteStore({ file: join(directory, 'store.db') }), auditKey: PEPPER, now: () => nowMs };
});
after(async () => {
  await deps.store.close();
  await rm(directory, { recursive: true });
});

const make = (devbox: string) =>
  change(deps, DEFAULT_ACCOUNT, { actor: COMMAND }, (each) =>
    createDevboxToken(PEPPER, each, aDevbox(devbox), aConfig('a'), null),
  );

test('a devbox has at most 1000 live tokens, and others have room meanwhile', async () => {
  await deps.store.write(DEFAULT_ACCOUNT, async (writer) => {
    await writer.putMcpConfig(aConfig('a'));
    for (let n = 0; n < 1000; n++) {
      await writer.putToken(aToken(`t${n}`, { devboxId: 'dbx_full', expiresAtMs: nowMs + 5, grants: [] }));
    }
  });
  await assert.rejects(make('dbx_full'), { code: 'conflict', message: /^The devbox dbx_full has 1000 live tokens/ });
  assert.match(await make('dbx_other'), /^swb_agt_/);
  nowMs += 5;
  assert.match(await make('dbx_full'), /^swb_agt_/);
});
