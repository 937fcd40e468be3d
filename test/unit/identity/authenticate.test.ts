import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import type { AccountId } from '../../../src/domain/mcp-config.ts';
import type { StoredApiKey, StoredToken } from '../../../src/domain/principal.ts';
import { Authenticator } from '../../../src/identity/authenticate.ts';
import { classifyBearer, hashToken, mintToken } from '../../../src/identity/tokens.ts';
import type { AccountConfiguration } from '../../../src/store/store.ts';
import { collectGarbage } from '../../support/held-memory.ts';

const pepper = Buffer.alloc(32, 7);
const start = Date.UTC(2026, 10, 20, 12, 0, 0);
const [agent, operator, brought] = [mintToken('agt'), mintToken('key'), '!operator-supplied,token-of-40-characters'];
const variable = (name: string) => `$${`{${name}}`}`;

function aToken(text: string, changes: Partial<StoredToken> = {}): StoredToken {
  const rotation = { previousHash: null, previousExpiresAtMs: null, devboxId: null, revision: 1 };
  const fixed = { ...rotation, nameStyle: 'dot', grants: [], managedBy: 'api', createTimeMs: 0 } as const;
  return {
    id: 'tok_1',
    name: 'devbox-ci',
    hash: hashToken(pepper, text),
    ...fixed,
    expiresAtMs: null,
    revokedAtMs: null,
    ...changes,
  };
}

function anApiKey(text: string, changes: Partial<StoredApiKey> = {}): StoredApiKey {
  return {
    id: 'key_1',
    name: 'ops',
    hash: hashToken(pepper, text),
    role: 'owner',
    createTimeMs: 0,
    revokedAtMs: null,
    ...changes,
  };
}

function anAccount(id: string, tokens: StoredToken[], apiKeys: StoredApiKey[] = []): AccountConfiguration {
  return { accountId: id as AccountId, epoch: 1, mcpConfigs: [], secrets: [], tokens, apiKeys };
}

/** What an attacker can do: the checksum is no secret. */
function withChecksum(body: string): string {
  const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  const checksum = Array.from({ length: 6 }, (_, i) => digits[Math.floor(crc32(body) / 62 ** (5 - i)) % 62]);
  return `${body}_${checksum.join('')}`;
}

function setUp(tokens = [aToken(agent.text)], apiKeys = [anApiKey(operator.text)]) {
  const clock = { nowMs: start };
  const authenticator = new Authenticator({ pepper, now: () => clock.nowMs });
  authenticator.replace([anAccount('acct_a', tokens, apiKeys)]);
  return { authenticator, clock };
}

describe('a token', () => {
  test('is known by its value, and gives the same principal object for every call', () => {
    const { authenticator } = setUp();
    const principal = authenticator.authenticateToken(`Bearer ${agent.text}`);
    assert.deepEqual(principal, { kind: 'token', accountId: 'acct_a', token: aToken(agent.text), endsAtMs: null });
    assert.equal(authenticator.authenticateToken(`Bearer ${agent.text}`), principal);
    assert.equal(authenticator.authenticateToken(`bearer  ${agent.text}`), principal);
    assert.equal(authenticator.authenticateToken(`BEARER ${agent.text}`), principal);
  });

  test('supplied by the operator works as it is, a comma in it included', () => {
    const { authenticator } = setUp([aToken(brought)]);
    assert.equal(authenticator.authenticateToken(`Bearer ${brought}`).kind, 'token');
  });

  test('belongs to the account it is stored in', () => {
    const { authenticator } = setUp();
    const other = mintToken('agt');
    authenticator.replace([
      anAccount('acct_a', [aToken(agent.text)]),
      anAccount('acct_b', [aToken(other.text, { id: 'tok_2' })]),
    ]);
    const accountOf = (text: string) => {
      const principal = authenticator.authenticateToken(`Bearer ${text}`);
      return principal.kind === 'token' && principal.accountId;
    };
    assert.deepEqual([accountOf(agent.text), accountOf(other.text)], ['acct_a', 'acct_b']);
  });

  test('that was warm is refused from the moment it expires, is revoked or is deleted', () => {
    const { authenticator, clock } = setUp([aToken(agent.text, { expiresAtMs: start + 1000 })]);
    const kind = () => authenticator.authenticateToken(`Bearer ${agent.text}`).kind;
    assert.deepEqual([kind(), kind()], ['token', 'token']);
    clock.nowMs = start + 999;
    assert.equal(kind(), 'token');
    clock.nowMs = start + 1000;
    assert.deepEqual([kind(), kind()], ['denied', 'denied']);
    authenticator.replace([anAccount('acct_a', [aToken(agent.text)])]);
    assert.deepEqual([kind(), kind()], ['token', 'token']);
    authenticator.replace([anAccount('acct_a', [aToken(agent.text, { revokedAtMs: start })])]);
    assert.equal(kind(), 'denied');
    authenticator.replace([]);
    assert.equal(kind(), 'denied');
  });

  test('changed in the configuration gives a new principal', () => {
    const { authenticator } = setUp();
    const before = authenticator.authenticateToken(`Bearer ${agent.text}`);
    authenticator.replace([anAccount('acct_a', [aToken(agent.text, { nameStyle: 'bare' })])]);
    const after = authenticator.authenticateToken(`Bearer ${agent.text}`);
    assert.ok(after.kind === 'token' && after !== before && after.token.nameStyle === 'bare');
  });

  test('is remembered by a connection without the other tokens of its time', async () => {
    const other = mintToken('agt');
    const { authenticator } = setUp([aToken(agent.text), aToken(other.text, { id: 'tok_2' })]);
    const connection = {};
    authenticator.authenticateToken(`Bearer ${agent.text}`, connection);
    const gone = new WeakRef(authenticator.authenticateToken(`Bearer ${other.text}`));
    authenticator.replace([anAccount('acct_a', [aToken(agent.text)])]);
    await nextTurn();
    collectGarbage();
    assert.equal(gone.deref(), undefined);
    // It has lived on, and was what might have kept the others.
    assert.equal(authenticator.authenticateToken(`Bearer ${agent.text}`, connection).kind, 'token');
  });

  test('with any bit flipped, or cut anywhere, is never accepted', () => {
    const { authenticator } = setUp();
    const header = `Bearer ${agent.text}`;
    authenticator.authenticateToken(header);
    for (let bit = 'Bearer '.length * 8; bit < header.length * 8; bit++) {
      const flipped = Buffer.from(header);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(authenticator.authenticateToken(flipped.toString('latin1')).kind, 'denied');
    }
    for (let length = 0; length < header.length; length++) {
      assert.equal(authenticator.authenticateToken(header.slice(0, length)).kind, 'denied');
    }
  });

  test('is accepted from no header but the one that holds exactly it', () => {
    const { authenticator } = setUp();
    const piece = fc.constantFrom(
      'Bearer ',
      agent.text,
      ' ',
      ',',
      'bearer',
      operator.text,
      '\t',
      'é',
      '"',
      '\r\n',
      'Basic ',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 5 }), (pieces) => {
        const header = pieces.join('');
        const isExact = /^bearer +(.*)$/is.exec(header)?.[1] === agent.text;
        assert.equal(authenticator.authenticateToken(header).kind, isExact ? 'token' : 'denied');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('an API key', () => {
  test('gives its operator', () => {
    const { authenticator } = setUp();
    const expected = { kind: 'operator', accountId: 'acct_a', keyId: 'key_1', name: 'ops', role: 'owner' };
    assert.deepEqual(authenticator.authenticateApiKey(`Bearer ${operator.text}`), expected);
  });

  test('that is revoked or deleted gives none', () => {
    const { authenticator } = setUp([], [anApiKey(operator.text, { revokedAtMs: start })]);
    assert.equal(authenticator.authenticateApiKey(`Bearer ${operator.text}`).kind, 'denied');
    authenticator.replace([]);
    assert.equal(authenticator.authenticateApiKey(`Bearer ${operator.text}`).kind, 'denied');
  });
});

describe('a refusal says what is wrong and what to do', () => {
  const { authenticator } = setUp(
    [aToken(agent.text, { expiresAtMs: start - 1 }), aToken(brought, { id: 'tok_2', name: 'old', revokedAtMs: start })],
    [anApiKey(operator.text, { revokedAtMs: start }), anApiKey('k'.repeat(40), { id: 'key_2' })],
  );
  const [strangerToken, strangerKey] = [mintToken('agt').text, mintToken('key').text];
  const cases: readonly [title: string, header: string | undefined, onMcp: RegExp, onRest: RegExp][] = [
    ['no header', undefined, /is missing.*Bearer swb_agt_…/, /is missing.*Bearer swb_key_…/],
    ['an empty header', '', /is missing/, /is missing/],
    ['another scheme', 'Basic dXNlcjpwYXNz', /not use the Bearer scheme/, /not use the Bearer scheme/],
    [
      'a scheme that only begins like Bearer',
      `BearerX ${strangerToken}`,
      /not use the Bearer scheme/,
      /not use the Bearer/,
    ],
    ['a bare token', strangerToken, /has no scheme\. Write "Bearer"/, /has no scheme/],
    ['nothing after the scheme', 'Bearer', /nothing after it/, /nothing after it/],
    ['a space after the scheme', 'Bearer ', /nothing after it/, /nothing after it/],
    ['the scheme twice', `Bearer Bearer ${strangerToken}`, /"Bearer" twice/, /"Bearer" twice/],
    ['only the scheme twice', 'Bearer bearer', /"Bearer" twice/, /"Bearer" twice/],
    [
      'a variable',
      `Bearer ${variable('SWB_TOKEN')}`,
      /the variable was not substituted by your client/,
      /not substituted/,
    ],
    ['a shell variable', 'Bearer $SWB_TOKEN', /not substituted/, /not substituted/],
    ['a placeholder', 'Bearer <your token>', /not substituted/, /not substituted/],
    ['a variable without a scheme', variable('AUTH'), /has no scheme/, /has no scheme/],
    ['two headers joined', `Bearer ${strangerToken}, Bearer x`, /more than one value/, /more than one value/],
    ['two values joined', `Bearer ${strangerToken.slice(10)},x`, /joined by a comma/, /joined by a comma/],
    ['an endless header', `Bearer ${'x'.repeat(600)}`, /has 607 characters/, /has 607 characters/],
    ['a truncated token', `Bearer ${strangerToken.slice(0, -2)}`, /truncated or mistyped/, /truncated or mistyped/],
    ['a truncated key', `Bearer ${strangerKey.slice(0, -2)}`, /truncated or mistyped/, /truncated or mistyped/],
    [
      'an unknown token',
      `Bearer ${strangerToken}`,
      /not a token known here/,
      /This is a token, and tokens open only \/mcp/,
    ],
    [
      'an unknown key',
      `Bearer ${strangerKey}`,
      /This is an API key.*POST \/v1\/mcp-tokens/,
      /not an API key known here/,
    ],
    ['a key that an operator brought', `Bearer ${'k'.repeat(40)}`, /This is an API key/, /^$/],
    ['an unknown value', `Bearer ${'z'.repeat(40)}`, /not a token known here/, /not an API key known here/],
    [
      'an expired token',
      `Bearer ${agent.text}`,
      /"devbox-ci" \(tok_1\) expired on 2026-11-20T11:59:59Z/,
      /This is a token/,
    ],
    ['a revoked token', `Bearer ${brought}`, /"old" \(tok_2\) was revoked on 2026-11-20T12:00:00Z/, /This is a token/],
    [
      'a revoked key',
      `Bearer ${operator.text}`,
      /This is an API key/,
      /"ops" \(key_1\) was revoked on 2026-11-20T12:00:00Z/,
    ],
  ];

  for (const [title, header, onMcp, onRest] of cases) {
    test(`to ${title}`, () => {
      const answers = [
        [authenticator.authenticateToken(header), onMcp],
        [authenticator.authenticateApiKey(header), onRest],
      ] as const;
      for (const [answer, pattern] of answers) {
        if (pattern.source === '^$') continue;
        assert.ok(answer.kind === 'denied' && answer.code === 'unauthenticated');
        assert.match(answer.message, pattern);
        for (const part of (header ?? '').split(/[ ,]+/).filter((part) => part.length > 10)) {
          assert.ok(!answer.message.includes(part), 'the value is repeated');
        }
      }
    });
  }

  test('a wrong secret under a known id gets the same words as an unknown id', () => {
    const known = withChecksum(agent.text.slice(0, 21) + strangerToken.slice(21, 64));
    assert.deepEqual(classifyBearer(known), { form: 'token', id: agent.id });
    assert.deepEqual(
      authenticator.authenticateToken(`Bearer ${known}`),
      authenticator.authenticateToken(`Bearer ${strangerToken}`),
    );
  });
});
