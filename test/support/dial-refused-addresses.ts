// Run in a network namespace of its own, where every address leads to the loopback device: dials every address form of the
// corpus through real upstream pools and prints how many packets left. Not for any other network.

import { readFileSync } from 'node:fs';
import { isIP, isIPv6, type LookupFunction } from 'node:net';
import { createUpstreamPools } from '../../src/upstream/pool.ts';
import { ADDRESS_COUNTS, type AddressForm } from './address-corpus.ts';
import { readCorpus } from './corpus.ts';

const TIMES = { connections: 1, connectTimeoutMs: 500, headersTimeoutMs: 500, idleTimeoutMs: 500 };
const NOWHERE: LookupFunction = (_name, _options, callback) => callback(new Error('no name is looked up'), '');

/** Dials one endpoint; whether it came so far that something was sent does not matter here. */
async function dial(endpoint: URL, lookup: LookupFunction): Promise<void> {
  const pools = createUpstreamPools({ endpoint, policy: { allowHttp: false, allowCidrs: [] }, lookup, ...TIMES });
  await pools.calls.request({ path: '/', method: 'GET' }).catch(() => undefined);
  pools.destroy();
}

/** The look-up of a name that leads to one address. */
function leadingTo(address: string): LookupFunction {
  const family = isIPv6(address) ? 6 : 4;
  return (_name, _options, callback) => callback(null, [{ address, family }]);
}

/** Packets the loopback device has sent. */
function packetsSent(): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((each) => each.trim().startsWith('lo:'));
  return Number(line?.trim().split(/\s+/)[10]);
}

async function dialAll(forms: readonly AddressForm[]): Promise<number> {
  const before = packetsSent();
  for (const { kind, form } of forms) {
    if (kind === 'endpoint') {
      if (URL.canParse(form) && /^https?:/i.test(form)) await dial(new URL(form), NOWHERE);
      continue;
    }
    // Others of this kind mean something else inside a URL: `1.2.3.4/32` would be a path.
    const literal = isIPv6(form) ? `https://[${form}]/` : `https://${form}/`;
    if (isIP(form) !== 0 && URL.canParse(literal)) await dial(new URL(literal), NOWHERE);
    await dial(new URL('https://upstream.example/'), leadingTo(form));
  }
  return packetsSent() - before;
}

const corpus = readCorpus<AddressForm>('addresses.jsonl', ADDRESS_COUNTS);
const isRefused = ({ expect }: AddressForm): boolean => expect !== 'accept';
const refused = corpus.filter(isRefused);
const accepted = corpus.filter((each) => !isRefused(each) && each.kind === 'address');
const packets = { refused: await dialAll(refused), accepted: await dialAll(accepted) };
console.log(JSON.stringify({ refused: refused.length, accepted: accepted.length, packets }));
