import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createForwarded } from '../../../src/edge/forwarded.ts';
import { createOriginCheck, isLocalPeer, type OriginRules } from '../../../src/edge/origin.ts';
import type { EdgeRequest } from '../../../src/edge/request-gate.ts';

type Headers = Readonly<Record<string, string>>;

/** What the checks read of a request. */
function requestFrom(remoteAddress: string, headers: Headers = {}): EdgeRequest {
  return { headers, socket: { remoteAddress } } as unknown as EdgeRequest;
}

const PROXIES = ['10.0.0.7', '10.1.0.0/16', 'fd00::/8', '::1', '::ffff:192.0.2.1'];
const forwarded = createForwarded(PROXIES)!;

test('without trusted proxies nothing is read', () => {
  assert.equal(createForwarded([]), undefined);
});

suite('a peer', () => {
  const cases: readonly (readonly [fact: string, peer: string, isTrusted: boolean])[] = [
    ['that is not named is not trusted', '203.0.113.9', false],
    ['that is not named is not trusted through a dual-stack socket', '::ffff:203.0.113.9', false],
    ['beside a named address is not trusted', '10.0.0.8', false],
    ['without an address is not trusted', '', false],
    ['of a named address is trusted', '10.0.0.7', true],
    ['of a named range is trusted, seen through a dual-stack socket', '::ffff:10.1.2.3', true],
    ['of a named IPv6 range is trusted', 'fd12::1', true],
    ['of an address written as mapped is trusted', '192.0.2.1', true],
    ['of a named IPv6 address is trusted', '::1', true],
  ];
  for (const [fact, peer, isTrusted] of cases) {
    test(fact, () => {
      const request = requestFrom(peer, { 'x-forwarded-host': 'mcp.example.com' });
      assert.equal(forwarded.hostOf(request), isTrusted ? 'mcp.example.com' : undefined);
    });
  }
});

suite('the forwarded host and scheme', () => {
  test('are read from a trusted proxy alone', () => {
    const headers = { 'x-forwarded-host': 'MCP.example.com:8443', 'x-forwarded-proto': 'HTTPS' };
    const trusted = requestFrom('10.0.0.7', headers);
    assert.deepEqual([forwarded.hostOf(trusted), forwarded.schemeOf(trusted)], ['mcp.example.com:8443', 'https']);
    // The same answer after another peer was looked up in between, and the other way round.
    for (const peer of ['203.0.113.9', '10.0.0.8', '', '203.0.113.9']) {
      const stranger = requestFrom(peer, headers);
      assert.deepEqual([forwarded.hostOf(stranger), forwarded.schemeOf(stranger)], [undefined, undefined]);
    }
    assert.equal(forwarded.hostOf(trusted), 'mcp.example.com:8443');
  });

  test('are those that the nearest proxy added', () => {
    const headers = { 'x-forwarded-host': 'evil.example, mcp.example.com', 'x-forwarded-proto': 'http, https' };
    const request = requestFrom('10.0.0.7', headers);
    assert.deepEqual([forwarded.hostOf(request), forwarded.schemeOf(request)], ['mcp.example.com', 'https']);
  });

  for (const bad of [
    '',
    'a b',
    'a/b',
    'user@host',
    'host:port',
    'host:',
    '[::1',
    '"a"',
    'a,',
    'ä.example',
    'x'.repeat(300),
  ]) {
    test(`are nothing where they cannot be: ${bad.slice(0, 20)}`, () => {
      const request = requestFrom('10.0.0.7', { 'x-forwarded-host': bad, 'x-forwarded-proto': bad });
      assert.deepEqual([forwarded.hostOf(request), forwarded.schemeOf(request)], [undefined, undefined]);
    });
  }
});

suite('the check of Host and Origin', () => {
  const RULES: OriginRules = {
    boundHost: '0.0.0.0',
    publicUrl: 'https://mcp.example.com/switchboard',
    trustedProxies: PROXIES,
    allowedHosts: [],
    allowedOrigins: [],
  };
  const isServed = (peer: string, headers: Headers, rules: Partial<OriginRules> = {}): boolean =>
    createOriginCheck({ ...RULES, ...rules })(requestFrom(peer, headers)) === undefined;

  test('takes the host of a public URL, whatever path it has', () => {
    assert.equal(isServed('203.0.113.9', { host: 'mcp.example.com' }), true);
    assert.equal(isServed('203.0.113.9', { host: 'mcp.example.com', origin: 'https://mcp.example.com' }), true);
    assert.equal(isServed('203.0.113.9', { host: 'other.example.com' }), false);
  });

  test('knows the scheme of a public URL, and takes no page of the other one for its own', () => {
    assert.equal(isServed('203.0.113.9', { host: 'mcp.example.com', origin: 'http://mcp.example.com' }), false);
  });

  test('serves a loopback page while bound to loopback, in the one spelling that browsers send', () => {
    const from = (origin: string): boolean =>
      isServed('127.0.0.1', { host: 'localhost', origin }, { boundHost: '127.0.0.1' });
    for (const origin of ['http://localhost:5173', 'https://127.0.0.1', 'http://[::1]:1'])
      assert.equal(from(origin), true, origin);
    for (const origin of [
      'http://localhost/',
      'http://a@localhost',
      'http://127.1',
      'app://localhost',
      'HTTP://localhost',
    ])
      assert.equal(from(origin), false, origin);
    assert.equal(isServed('127.0.0.1', { host: 'mcp.example.com', origin: 'http://localhost:5173' }), false);
  });

  test('refuses what another site loads without an Origin, and nothing that only looks like it', () => {
    const of = (site: string): boolean => isServed('203.0.113.9', { host: 'mcp.example.com', 'sec-fetch-site': site });
    assert.deepEqual(['none', 'same-origin', 'same-site', 'cross-site'].map(of), [true, true, true, false]);
  });

  test('knows no empty host', () => {
    assert.equal(isServed('203.0.113.9', { host: '' }), false);
    assert.equal(isServed('203.0.113.9', {}), false);
  });

  test('judges the host that a trusted proxy was asked for in the place of the one it asks for', () => {
    const asked = { host: 'switchboard:8080', 'x-forwarded-host': 'mcp.example.com' };
    assert.equal(isServed('10.0.0.7', asked), true);
    assert.equal(isServed('203.0.113.9', asked), false);
    const evil = { host: 'mcp.example.com', 'x-forwarded-host': 'evil.example' };
    assert.equal(isServed('10.0.0.7', evil), false);
    assert.equal(isServed('203.0.113.9', evil), true);
    assert.equal(isServed('10.0.0.7', { ...evil, 'x-forwarded-host': '%%' }), true);
  });

  test('takes a page for one of the same origin only with the scheme that a trusted proxy was asked with', () => {
    const rules = { publicUrl: undefined, allowedHosts: ['mcp.example.com'] };
    const from = (origin: string, scheme: string) => ({ host: 'mcp.example.com', origin, 'x-forwarded-proto': scheme });
    assert.equal(isServed('10.0.0.7', from('https://mcp.example.com', 'https'), rules), true);
    assert.equal(isServed('10.0.0.7', from('http://mcp.example.com', 'https'), rules), false);
    assert.equal(isServed('203.0.113.9', from('http://mcp.example.com', 'https'), rules), true);
    assert.equal(isServed('10.0.0.7', from('http://mcp.example.com', 'gopher'), rules), true);
  });
});

suite('a peer is local', () => {
  const HOST = { host: '127.0.0.1:8080' };

  test('when it is on this machine and speaks for nobody', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])
      assert.equal(isLocalPeer(requestFrom(address, HOST)), true, address);
    for (const address of ['10.0.0.7', '::ffff:10.0.0.7', ''])
      assert.equal(isLocalPeer(requestFrom(address, HOST)), false, address);
  });

  test('never by what a header says, which a page in its browser could have written', () => {
    for (const name of ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded'])
      assert.equal(isLocalPeer(requestFrom('127.0.0.1', { ...HOST, [name]: '127.0.0.1' })), false, name);
  });

  test('only under a name that no page can have had rebound to this machine', () => {
    for (const host of ['localhost', 'LOCALHOST:8080', '[::1]:8080', '127.0.0.2'])
      assert.equal(isLocalPeer(requestFrom('127.0.0.1', { host })), true, host);
    for (const host of ['evil.test', 'evil.test:8080', 'localhost.evil.test', '127.0.0.1.evil.test', 'localhost.', ''])
      assert.equal(isLocalPeer(requestFrom('127.0.0.1', { host })), false, host);
    assert.equal(isLocalPeer(requestFrom('127.0.0.1', { ':authority': 'evil.test' })), false);
    assert.equal(isLocalPeer(requestFrom('127.0.0.1', { ':authority': 'localhost:1' })), true);
  });
});
