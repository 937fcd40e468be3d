// Certificates of a private authority, made by openssl in a folder of the test. Their keys are worth nothing.

import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** For the `skip` of tests that need certificates: `false`, or why not. */
export const withoutOpenssl = spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not on this machine';

export interface Issued {
  /** Paths of PEM files. */
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly certificate: string;
  readonly key: string;
}

export interface IssueOptions {
  /** As openssl writes them: `DNS:mcp.internal.test`, `IP:127.0.0.1`. */
  readonly names?: readonly string[];
  readonly isExpired?: boolean;
}

export interface Authority extends Issued {
  issue(subject: string, options?: IssueOptions): Promise<Issued>;
}

/** As TLS servers take them. */
export function toIdentity({ certificate, key }: Issued): { readonly cert: string; readonly key: string } {
  return { cert: certificate, key };
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
/** Of `openssl ca`, the one command of every version of it that can make an expired certificate. */
const CA_CONFIG = `[ca]
default_ca = here
[here]
database = index.txt
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
new_certs_dir = .
[any]
commonName = supplied
`;

/** Makes an authority and, with it, certificates, one after the other; every file is in a folder of its own in `folder`. */
export async function createAuthority(folder: string, subject = 'Test CA'): Promise<Authority> {
  const cwd = await mkdtemp(join(folder, 'ca-'));
  const openssl = (...args: string[]) => run('openssl', args, { cwd });
  const read = async (name: string): Promise<Issued> => {
    const [certificateFile, keyFile] = [join(cwd, `${name}.pem`), join(cwd, `${name}.key`)];
    const [certificate, key] = await Promise.all([readFile(certificateFile, 'utf8'), readFile(keyFile, 'utf8')]);
    return { certificateFile, keyFile, certificate, key };
  };
  await writeFile(join(cwd, 'ca.cnf'), CA_CONFIG);
  await writeFile(join(cwd, 'index.txt'), '');
  await openssl(
    'req',
    '-x509',
    ...NEW_KEY,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    `/CN=${subject}`,
    '-days',
    '2',
  );
  let issued = 0;
  return {
    ...(await read('ca')),
    async issue(commonName, { names = [], isExpired = false } = {}) {
      const name = String(++issued);
      await openssl('req', ...NEW_KEY, '-keyout', `${name}.key`, '-out', 'csr', '-subj', `/CN=${commonName}`);
      await writeFile(
        join(cwd, 'ext'),
        names.length === 0 ? 'basicConstraints=CA:FALSE\n' : `subjectAltName=${names.join()}\n`,
      );
      const signer = [
        '-config',
        'ca.cnf',
        '-cert',
        'ca.pem',
        '-keyfile',
        'ca.key',
        '-extfile',
        'ext',
        '-batch',
        '-notext',
      ];
      const dates = ['-startdate', '20200101000000Z', '-enddate', `${isExpired ? '2021' : '2099'}0101000000Z`];
      await openssl('ca', ...signer, ...dates, '-in', 'csr', '-out', `${name}.pem`);
      return read(name);
    },
  };
}
