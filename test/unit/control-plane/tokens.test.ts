import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type ApiKeyInput, createApiKey } from '../../../src/control-plane/api-keys.ts';
import { type ChangeDeps, COMMAND, change } from '../../../src/control-plane/change.ts';
import { createToken, type TokenInput } from '../../../src/control-plane/tokens.ts';
import { GatewayError } from '../../../src/domain/errors.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { aConfig } from '../../support/store-objects.ts';

const CONFIGS = ['github-readonly', 'github-admin', 'tracker'];

let directory: string;
const PEPPER = Buffer.alloc(32, 1);
let deps: ChangeDeps;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchboard-tokens-'));
  const store = await openSqliteStore({ file: join(directory, 'store.db') });
  deps = { store, auditKey: PEPPER, now: () => 1000 };
  await store.write(DEFAULT_ACCOUNT, async (writer) => {
    for (const name of CONFIGS) await writer.putMcpConfig(aConfig(name));
  });
});
after(async () => {
  await deps.store.close();
  await rm(directory, { recursive: true });
});

const makeToken = (input: TokenInput) =>
  change(deps, DEFAULT_ACCOUNT, { actor: COMMAND }, (each) => createToken(PEPPER, each, input));
const makeKey = (input: ApiKeyInput) =>
  change(deps, DEFAULT_ACCOUNT, { actor: COMMAND }, (each) => createApiKey(PEPPER, each, input));

function aToken(name: string, nameStyle: TokenInput['nameStyle'], ...configs: readonly string[]): TokenInput {
  const grants = configs.map((mcpConfig) => ({ mcpConfig, secret: null, allowedTools: null }));
  return { name, grants, nameStyle, expiresAtMs: null };
}

function refused(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'invalid_argument');
    assert.match(error.message, message);
    return true;
  };
}

test('a token and an API key are named by one rule', async () => {
  for (const name of ['', ' ', '-a', '.a', 'a/b', 'a b', 'a\n', 'ä', 'x'.repeat(129)]) {
    const isRefused = refused(/^name: '.*' is not a name for (?:a token|an API key); use 1 to 128 of/s);
    await assert.rejects(makeToken(aToken(name, 'dot', 'tracker')), isRefused, name);
    await assert.rejects(makeKey({ name, role: 'owner' }), isRefused, name);
  }
  const { tokens, apiKeys } = await deps.store.readConfiguration(DEFAULT_ACCOUNT);
  assert.deepEqual([tokens, apiKeys], [[], []]);
  for (const name of ['a', '0', 'devbox-7_b.c', 'x'.repeat(128)]) {
    await makeToken(aToken(name, 'dot', 'tracker'));
    await makeKey({ name, role: 'owner' });
  }
});

test('bare names are for a token of one service', async () => {
  await assert.rejects(
    makeToken(aToken('two', 'bare', 'github-readonly', 'tracker')),
    refused(/^names: bare needs a token of one service; this one has github, tracker\./),
  );
  const { stored: token } = await makeToken(aToken('one', 'bare', 'github-readonly', 'github-admin'));
  assert.equal(token.nameStyle, 'bare');
  await makeToken(aToken('dotted', 'dot', 'github-readonly', 'tracker'));
});
