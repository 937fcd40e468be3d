import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createApiKey } from '../../../src/control-plane/api-keys.ts';
import { createToken, type TokenDeps, type TokenInput } from '../../../src/control-plane/tokens.ts';
import { GatewayError } from '../../../src/domain/errors.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { aConfig } from '../../contract/store.ts';

const CONFIGS = ['github-readonly', 'github-admin', 'tracker'];

let directory: string;
let deps: TokenDeps;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchboard-tokens-'));
  const store = await openSqliteStore({ file: join(directory, 'store.db') });
  deps = { store, pepper: Buffer.alloc(32, 1), now: () => 1000 };
  await store.write(DEFAULT_ACCOUNT, async (writer) => {
    for (const name of CONFIGS) await writer.putMcpConfig(aConfig(name));
  });
});
after(async () => {
  await deps.store.close();
  await rm(directory, { recursive: true });
});

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
    await assert.rejects(createToken(deps, DEFAULT_ACCOUNT, aToken(name, 'dot', 'tracker')), isRefused, name);
    await assert.rejects(createApiKey(deps, DEFAULT_ACCOUNT, { name, role: 'owner' }), isRefused, name);
  }
  const { tokens, apiKeys } = await deps.store.readConfiguration(DEFAULT_ACCOUNT);
  assert.deepEqual([tokens, apiKeys], [[], []]);
  for (const name of ['a', '0', 'devbox-7_b.c', 'x'.repeat(128)]) {
    await createToken(deps, DEFAULT_ACCOUNT, aToken(name, 'dot', 'tracker'));
    await createApiKey(deps, DEFAULT_ACCOUNT, { name, role: 'owner' });
  }
});

test('bare names are for a token of one service', async () => {
  await assert.rejects(
    createToken(deps, DEFAULT_ACCOUNT, aToken('two', 'bare', 'github-readonly', 'tracker')),
    refused(/^names: bare needs a token of one service; this one has github, tracker\./),
  );
  const { token } = await createToken(deps, DEFAULT_ACCOUNT, aToken('one', 'bare', 'github-readonly', 'github-admin'));
  assert.equal(token.nameStyle, 'bare');
  await createToken(deps, DEFAULT_ACCOUNT, aToken('dotted', 'dot', 'github-readonly', 'tracker'));
});
