// Tokens and API keys in every state that they can be in, made as the command line makes them, in the store of a gateway
// that runs.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApiKey, revokeApiKey } from '../../src/control-plane/api-keys.ts';
import { type Change, COMMAND, change } from '../../src/control-plane/change.ts';
import { createToken, revokeToken } from '../../src/control-plane/tokens.ts';
import { openVaulted } from '../../src/gateway/vaulted.ts';
import { hashToken, mintToken } from '../../src/identity/tokens.ts';
import { DEFAULT_ACCOUNT } from '../../src/store/store.ts';

/** Of the two who ask for credentials: `/mcp` for tokens, all else for API keys. */
export type Door = 'data' | 'control';

/** Values by what they are; some differ from door to door. */
export type Credentials = Readonly<Record<string, string | Readonly<Record<Door, string>>>>;

export interface CredentialsOptions {
  /** Of the gateway's store. */
  readonly folder: string;
  readonly now: () => number;
  /** When those end that are to have ended. */
  readonly endsAtMs: number;
  /** Name of a config, and of the secret it is granted with. */
  readonly mcpConfig: string;
  readonly secret: string;
}

/** The gateway follows when its configuration is applied the next time. */
export async function makeCredentials(options: CredentialsOptions): Promise<Credentials> {
  const database = join(options.folder, 'store', 'switchboard.db');
  const vaulted = await openVaulted({ store: { url: `sqlite:${database}` } }, {});
  const mint = new Mint(vaulted, options);
  try {
    return {
      ...(await makeUsual(mint)),
      ...(await makeRevoked(mint, options.endsAtMs)),
      ...(await makeRewritten(mint)),
      ...makeForeign(),
      'master-key': readFileSync(`${database}.key`, 'utf8').trim(),
    };
  } finally {
    await vaulted.store.close();
  }
}

type Vaulted = Awaited<ReturnType<typeof openVaulted>>;

class Mint {
  readonly store: Vaulted['store'];
  readonly pepper: Vaulted['keys']['tokenPepper'];
  readonly auditKey: Vaulted['keys']['audit'];
  readonly now: () => number;
  readonly #grants: readonly { mcpConfig: string; secret: string; allowedTools: null }[];

  constructor({ store, keys }: Vaulted, { now, mcpConfig, secret }: CredentialsOptions) {
    this.store = store;
    this.pepper = keys.tokenPepper;
    this.auditKey = keys.audit;
    this.now = now;
    this.#grants = [{ mcpConfig, secret, allowedTools: null }];
  }

  token(name: string, expiresAtMs: number | null = null, grants = this.#grants) {
    return this.write((each) => createToken(this.pepper, each, { name, grants, nameStyle: 'dot', expiresAtMs }));
  }

  key(name: string, role: 'owner' | 'viewer' = 'owner') {
    return this.write((each) => createApiKey(this.pepper, each, { name, role }));
  }

  write<T>(work: (each: Change) => Promise<T>): Promise<T> {
    return change(this, DEFAULT_ACCOUNT, { actor: COMMAND }, work);
  }
}

async function makeUsual(mint: Mint): Promise<Credentials> {
  const good = await mint.token('minted');
  const key = await mint.key('ops');
  const least = await mint.token('none', null, []);
  const viewer = await mint.key('viewer', 'viewer');
  return {
    good: { data: good.value, control: key.value },
    other: { data: key.value, control: good.value },
    'other-least': { data: viewer.value, control: least.value },
    id: good.stored.id,
    hash: good.stored.hash,
  };
}

async function makeRevoked(mint: Mint, endsAtMs: number): Promise<Credentials> {
  const expired = await mint.token('late', endsAtMs);
  const revoked = await mint.token('revoked');
  const both = await mint.token('both', endsAtMs);
  for (const name of ['revoked', 'both']) await mint.write((each) => revokeToken(each, each.find('token', name)));
  const key = await mint.key('gone');
  await mint.write((each) => revokeApiKey(each, each.find('api_key', 'gone')));
  const replaced = await mint.key('again');
  await mint.write((each) => revokeApiKey(each, each.find('api_key', 'again')));
  await mint.key('again');
  return {
    expired: expired.value,
    revoked: revoked.value,
    'revoked-expired': both.value,
    'revoked-key': key.value,
    'revoked-key-2': replaced.value,
  };
}

/** Whose rows in the store have gone, or now hold somebody else's hash. */
async function makeRewritten(mint: Mint): Promise<Credentials> {
  const deleted = await mint.token('deleted');
  const reused = await mint.token('reused');
  const rotated = await mint.token('rotated');
  const [second, third, copied] = [mintToken('agt'), mintToken('agt'), mintToken('agt')];
  await mint.store.write(DEFAULT_ACCOUNT, async (writer) => {
    await writer.deleteToken(deleted.stored.id);
    await writer.deleteToken(reused.stored.id);
    const foreignHash = hashToken(Buffer.alloc(32), copied.text);
    await writer.putToken({ ...rotated.stored, id: copied.id, name: 'copied', hash: foreignHash });
    for (const { text } of [second, third]) {
      await writer.putToken({ ...rotated.stored, hash: hashToken(mint.pepper, text) });
    }
  });
  await mint.token('reused');
  return {
    'rotated-twice': rotated.value,
    rotated: second.text,
    'rotated-new': third.text,
    deleted: deleted.value,
    'deleted-id': deleted.stored.id,
    'deleted-reused': reused.value,
    copied: copied.text,
  };
}

/** Of another gateway, or of none. */
function makeForeign(): Credentials {
  const [token, key] = [mintToken('agt').text, mintToken('key').text];
  return {
    foreign: { data: token, control: key },
    'foreign-token': token,
    'foreign-key': key,
    admin: `swb_adm_${token.slice(8, -7)}`,
  };
}
