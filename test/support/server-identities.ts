// Server certificates made by openssl: a good one, and each way in which one can be wrong.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ServerIdentity, TlsFault } from './fault-upstream.ts';

export interface Identities {
  /** The authority that a client is to trust, as PEM. */
  readonly ca: string;
  readonly servers: Readonly<Record<'good' | TlsFault, ServerIdentity>>;
}

/** Of `openssl ca`, the only command of every version of it that can make an expired certificate. */
const CA_CONFIG = `[ca]
default_ca = here
[here]
database = index.txt
rand_serial = yes
default_md = sha256
policy = any
new_certs_dir = .
[any]
commonName = supplied
`;
const ANY_TIME = ['20200101000000Z', '20990101000000Z'] as const;
const PAST = ['20200101000000Z', '20210101000000Z'] as const;

/** Makes them all for the host 127.0.0.1. */
export async function makeIdentities(): Promise<Identities> {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-certificates-'));
  try {
    await writeFile(join(folder, 'ca.cnf'), CA_CONFIG);
    await makeAuthority(folder, 'ca');
    await makeAuthority(folder, 'stranger');
    await openssl(folder, ['req', '-new', ...NEW_KEY, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=x']);
    const servers = {
      good: await sign(folder, 'ca', 'IP:127.0.0.1', ANY_TIME),
      'tls-untrusted': await sign(folder, 'stranger', 'IP:127.0.0.1', ANY_TIME),
      'tls-wrong-name': await sign(folder, 'ca', 'DNS:elsewhere.invalid', ANY_TIME),
      'tls-expired': await sign(folder, 'ca', 'IP:127.0.0.1', PAST),
    };
    return { ca: await readFile(join(folder, 'ca.pem'), 'utf8'), servers };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

async function makeAuthority(folder: string, name: string): Promise<void> {
  const subject = ['-subj', `/CN=${name}`, '-days', '2'];
  await openssl(folder, ['req', '-x509', ...NEW_KEY, '-keyout', `${name}.key`, '-out', `${name}.pem`, ...subject]);
}

async function sign(
  folder: string,
  authority: string,
  subjectAltName: string,
  [start, end]: readonly [string, string],
): Promise<ServerIdentity> {
  await writeFile(join(folder, 'names.cnf'), `subjectAltName=${subjectAltName}\n`);
  // Emptied, because the database refuses a second certificate for one subject.
  await writeFile(join(folder, 'index.txt'), '');
  const signer = ['-cert', `${authority}.pem`, '-keyfile', `${authority}.key`];
  const validity = ['-startdate', start, '-enddate', end];
  const files = ['-in', 'server.csr', '-out', 'server.pem', '-extfile', 'names.cnf'];
  await openssl(folder, ['ca', '-batch', '-notext', '-config', 'ca.cnf', ...signer, ...validity, ...files]);
  const [key, cert] = await Promise.all(
    ['server.key', 'server.pem'].map((file) => readFile(join(folder, file), 'utf8')),
  );
  return { key: key!, cert: cert! };
}

async function openssl(folder: string, parameters: readonly string[]): Promise<void> {
  await promisify(execFile)('openssl', parameters, { cwd: folder });
}
