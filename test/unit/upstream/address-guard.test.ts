import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type AddressPolicy, judgeAddress, judgeEndpoint, policyFor } from '../../../src/upstream/address-guard.ts';
import { ADDRESS_COUNTS, type AddressForm } from '../../support/address-corpus.ts';
import { readCorpus, reportCounts } from '../../support/corpus.ts';

const STRICT: AddressPolicy = { allowHttp: false, allowCidrs: [] };
function judge(line: AddressForm, policy: AddressPolicy): string | undefined {
  return line.kind === 'address' ? judgeAddress(line.form, policy) : judgeEndpoint(line.form, policy);
}

describe('address guard: the corpus', () => {
  const corpus = readCorpus<AddressForm>('addresses.jsonl', ADDRESS_COUNTS);

  it('has its counts printed', (t) => reportCounts(t, 'addresses.jsonl', corpus));

  for (const line of corpus) {
    it(`${line.class}: ${JSON.stringify(line.form)} is ${line.expect}`, () => {
      const reason = judge(line, STRICT);
      if (line.expect === 'accept') assert.equal(reason, undefined);
      else assert.ok(reason?.includes(line.expect), `got ${reason}`);
    });
  }

  it('link-local, metadata, multicast and unspecified addresses stay refused when every range is allowed', () => {
    const everything: AddressPolicy = { allowHttp: true, allowCidrs: ['0.0.0.0/0', '::/0'] };
    const never = /^(metadata|link-local|multicast|unspecified) address$/;
    const addresses = corpus.filter(({ kind, expect }) => kind === 'address' && never.test(expect));
    assert.ok(addresses.length > 30);
    for (const line of addresses) assert.equal(judge(line, everything), line.expect, line.form);
  });
});

describe('address guard: what the operator admits', () => {
  const allow = (...allowCidrs: string[]): AddressPolicy => ({ allowHttp: false, allowCidrs });

  it('an allowed range admits what it covers and nothing else', () => {
    assert.equal(judgeAddress('10.1.2.3', allow('10.1.0.0/16')), undefined);
    assert.equal(judgeAddress('::ffff:10.1.2.3', allow('10.1.0.0/16')), undefined);
    assert.equal(judgeAddress('10.2.0.1', allow('10.1.0.0/16')), 'private address');
    assert.equal(judgeAddress('fd00:1::1', allow('fd00:1::/32')), undefined);
    assert.equal(judgeEndpoint('https://10.1.2.3/', allow('10.1.0.0/16')), undefined);
  });

  it('a range of one family says nothing about the other', () => {
    assert.equal(judgeAddress('10.0.0.1', allow('::/0')), 'private address');
    assert.equal(judgeAddress('fd00::1', allow('0.0.0.0/0')), 'private address');
  });

  it('a range that cannot be read admits nothing', () => {
    for (const cidr of [
      '10.0.0.0',
      '10.0.0.0/',
      '10.0.0.0/33',
      '10.0.0.0/-1',
      '10.0.0.0/8/8',
      '10.0.0/8',
      '*',
      '',
      'fe80::%1/64',
    ]) {
      assert.equal(judgeAddress('10.0.0.1', allow(cidr)), 'private address', cidr);
    }
  });

  it('an allowed NAT64 prefix reaches public IPv4 only, unless the embedded address is allowed too', () => {
    const nat64 = allow('64:ff9b::/96');
    assert.equal(judgeAddress('64:ff9b::8.8.8.8', nat64), undefined);
    assert.equal(judgeAddress('64:ff9b::10.0.0.1', nat64), 'private address');
    assert.equal(judgeAddress('64:ff9b::169.254.169.254', nat64), 'metadata address');
    assert.equal(judgeAddress('64:ff9b::10.0.0.1', allow('64:ff9b::/96', '10.0.0.0/8')), undefined);
    assert.equal(judgeAddress('64:ff9b:1::8.8.8.8', allow('64:ff9b:1::/48')), 'embedded IPv4 address');
  });

  it('private names may be saved where private ranges are allowed, metadata names never', () => {
    const policy = allow('10.0.0.0/8');
    assert.equal(judgeEndpoint('https://mcp.default.svc.cluster.local/', policy), undefined);
    assert.equal(judgeEndpoint('https://mcp/', policy), undefined);
    assert.match(
      judgeEndpoint('https://metadata.google.internal/', policy) ?? '',
      /\(metadata name\); .* by declaring the config itself$/,
    );
    assert.match(
      judgeEndpoint('https://localhost/', policy) ?? '',
      /\(localhost name\); .* or with upstreams\.allow_cidrs$/,
    );
    assert.equal(judgeEndpoint('https://localhost/', allow('127.0.0.0/8')), undefined);
  });

  it('plain http is admitted by the setting, private addresses behind it are not', () => {
    const http: AddressPolicy = { allowHttp: true, allowCidrs: [] };
    assert.equal(judgeEndpoint('http://mcp.example.com/', http), undefined);
    assert.match(judgeEndpoint('http://127.0.0.1/', http) ?? '', /loopback address/);
  });

  it("an origin in the operator's file admits its own scheme, host and port, and no other", () => {
    const policy: AddressPolicy = { ...STRICT, admitted: 'http://127.0.0.1:3000' };
    assert.equal(judgeEndpoint('http://127.0.0.1:3000/mcp', policy), undefined);
    assert.equal(judgeEndpoint('http://127.1:3000/mcp', policy), undefined);
    assert.match(judgeEndpoint('http://127.0.0.1:3001/mcp', policy) ?? '', /plain http/);
    assert.match(judgeEndpoint('https://127.0.0.1:3000/mcp', policy) ?? '', /loopback address/);
    assert.match(judgeEndpoint('http://user@127.0.0.1:3000/mcp', policy) ?? '', /user or password/);
    assert.equal(judgeAddress('127.0.0.1', policy), undefined);
    assert.equal(judgeAddress('127.0.0.2', policy), 'loopback address');
  });

  it('an admitted literal is admitted even where no range could', () => {
    const policy: AddressPolicy = { ...STRICT, admitted: 'http://169.254.169.254' };
    assert.equal(judgeEndpoint('http://169.254.169.254/mcp', policy), undefined);
    assert.equal(judgeAddress('169.254.169.254', policy), undefined);
    assert.equal(judgeAddress('169.254.170.2', policy), 'metadata address');
    assert.equal(judgeAddress('fe80::1', { ...STRICT, admitted: 'http://[fe80:0::1]:80' }), undefined);
  });

  it('an admitted name may lead to private addresses, not to link-local or metadata ones', () => {
    const policy: AddressPolicy = { ...STRICT, admitted: 'http://mcp.internal:3000' };
    assert.equal(judgeEndpoint('http://mcp.internal:3000/mcp', policy), undefined);
    assert.equal(judgeAddress('10.0.0.1', policy), undefined);
    assert.equal(judgeAddress('::1', policy), undefined);
    assert.equal(judgeAddress('169.254.169.254', policy), 'metadata address');
    assert.equal(judgeAddress('fe80::1', policy), 'link-local address');
  });

  it('what one origin is admitted to do, an endpoint elsewhere is not', () => {
    const policy: AddressPolicy = { ...STRICT, admitted: 'http://mcp.internal:3000' };
    assert.match(judgeEndpoint('https://10.0.0.1/', policy) ?? '', /private address/);
    assert.equal(policyFor(new URL('http://mcp.internal:3001/'), policy).admitted, undefined);
    assert.equal(policyFor(new URL('http://mcp.internal:3000/mcp'), policy), policy);
  });

  it('the same endpoint is judged alike as text and as URL', () => {
    for (const { kind, form } of readCorpus<AddressForm>('addresses.jsonl', ADDRESS_COUNTS)) {
      const url = URL.parse(form);
      if (kind !== 'endpoint' || url === null || judgeEndpoint(form, STRICT) !== undefined) continue;
      assert.equal(judgeEndpoint(url, STRICT), undefined, form);
    }
    assert.match(judgeEndpoint(new URL('https://u:p@mcp.example.com/'), STRICT) ?? '', /user or password/);
  });
});

describe('address guard: properties', () => {
  const ipv4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
  const runs = { numRuns: 300 };

  it('an IPv4 address is judged alike in dotted, decimal, hex, octal, mapped and bracketed form', () => {
    fc.assert(
      fc.property(ipv4, (bytes) => {
        const dotted = bytes.join('.');
        const number = Buffer.from(bytes).readUInt32BE();
        const word = judgeAddress(dotted, STRICT);
        assert.equal(judgeAddress(`::ffff:${dotted}`, STRICT), word);
        const hosts = [
          dotted,
          String(number),
          `0x${number.toString(16)}`,
          `0${number.toString(8)}`,
          `[::ffff:${dotted}]`,
        ];
        for (const host of hosts) {
          const reason = judgeEndpoint(`https://${host}/`, STRICT);
          if (word === undefined) assert.equal(reason, undefined, host);
          else assert.ok(reason?.includes(word), host);
        }
      }),
      runs,
    );
  });

  it('no address that embeds IPv4 is accepted, and none is called less than the IPv4 address it embeds', () => {
    fc.assert(
      fc.property(ipv4, (bytes) => {
        const dotted = bytes.join('.');
        const hex = Buffer.from(bytes)
          .toString('hex')
          .replace(/(.{4})/, '$1:');
        const inner = judgeAddress(dotted, STRICT);
        const forms = [
          `64:ff9b::${dotted}`,
          `::ffff:0:${dotted}`,
          `2002:${hex}::1`,
          `2001:0:${hex}::f7f7:f7f7`,
          `2a00::5efe:${dotted}`,
        ];
        for (const form of forms) assert.equal(judgeAddress(form, STRICT), inner ?? 'embedded IPv4 address', form);
      }),
      runs,
    );
  });

  it('any text gets a verdict, and the words for an address never hold the address', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.webUrl()), (text) => {
        assert.match(judgeAddress(text, STRICT) ?? 'public address', /^[A-Za-z0-9 -]+ address$/);
        judgeEndpoint(text, STRICT);
      }),
      runs,
    );
  });
});
