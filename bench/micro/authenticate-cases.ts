// From an Authorization header to its principal, among twenty thousand tokens.

import type { AccountId } from '../../src/domain/mcp-config.ts';
import type { StoredToken } from '../../src/domain/principal.ts';
import { Authenticator } from '../../src/identity/authenticate.ts';
import { hashToken } from '../../src/identity/tokens.ts';
import type { MicroCase } from './measure.ts';

/** Twice as many as are remembered: asked in turn, each is forgotten before it is asked again. */
const TOKENS = 20_000;

export function authenticateCases(): MicroCase[] {
  const pepper = Buffer.alloc(32, 7);
  const tokens = Array.from({ length: TOKENS }, (_, index) => aToken(index, hashToken(pepper, tokenText(index))));
  const account = { accountId: 'acct_bench' as AccountId, epoch: 1, mcpConfigs: [], secrets: [], tokens, apiKeys: [] };
  const authenticator = new Authenticator({ pepper, now: Date.now });
  authenticator.replace([account]);
  const socket = {};
  const headers = tokens.map((_, index) => `Bearer ${tokenText(index)}`);
  const header = headers[0] ?? '';
  const unknown = `Bearer ${'no such token of forty characters, or so'.replaceAll(' ', '_')}`;
  const check = (authorization: string, kind: string) => {
    if (authenticator.authenticateToken(authorization).kind !== kind) throw new Error(`not ${kind}: ${authorization}`);
  };
  check(header, 'token');
  check(unknown, 'denied');
  let turn = 0;
  return [
    { name: 'authenticate: same connection', run: () => authenticator.authenticateToken(header, socket) },
    { name: 'authenticate: warm, another connection', run: () => authenticator.authenticateToken(header) },
    {
      name: 'authenticate: cold',
      run() {
        const principal = authenticator.authenticateToken(headers[turn]);
        turn = (turn + 1) % TOKENS;
        return principal;
      },
    },
    { name: 'authenticate: unknown token', run: () => authenticator.authenticateToken(unknown) },
  ];
}

function tokenText(index: number): string {
  return `bench-token-0123456789-abcdefghijk-${String(index).padStart(6, '0')}`;
}

function aToken(index: number, hash: string): StoredToken {
  return {
    id: `tok_${index}`,
    name: `token-${index}`,
    hash,
    previousHash: null,
    previousExpiresAtMs: null,
    devboxId: null,
    revision: 1,
    nameStyle: 'dot',
    grants: [],
    managedBy: 'api',
    createTimeMs: 0,
    expiresAtMs: null,
    revokedAtMs: null,
  };
}
