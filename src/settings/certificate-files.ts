// Reads the certificates that `tls` of a config points at. Only certificates are taken from a file: what is stored of it
// is not sealed, and shown to operators.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { holdsPrivateKey } from '../domain/private-key.ts';
import type { Secret } from '../domain/secret.ts';
import type { Finding } from './file-problem.ts';
import { readBytes } from './read-bytes.ts';
import { entriesOf } from './reference-findings.ts';
import type { Path } from './yaml-source.ts';

/** Room for the bundle of a whole operating system. */
const MAX_FILE_BYTES = 524_288;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g;

/** PEM certificates by the path of their file as the config file writes it, and what kept others from being read. */
export interface Certificates {
  readonly certificates: ReadonlyMap<string, string>;
  readonly findings: readonly Finding[];
}

type Read = { readonly pem: string } | { readonly message: string };

async function readCertificates(file: string): Promise<Read> {
  const outcome = await readBytes(file, MAX_FILE_BYTES);
  if (!outcome.ok) return { message: `the file ${outcome.message}` };
  const text = outcome.bytes.toString('latin1');
  if (holdsPrivateKey(text)) {
    return { message: 'the file holds a private key: take it out, and name it as a secret in client_key' };
  }
  const blocks = text.match(CERTIFICATE) ?? [];
  if (blocks.length !== text.split('-----BEGIN CERTIFICATE-----').length - 1 || blocks.length === 0) {
    return { message: 'the file is not PEM: -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, once or more' };
  }
  const broken = blocks.findIndex((block) => toCertificate(block) === undefined);
  return broken < 0
    ? { pem: `${blocks.join('\n')}\n` }
    : { message: `certificate ${broken + 1} of ${blocks.length} in the file cannot be read` };
}

function toCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function findKeyProblem(certificate: string, key: string): string | undefined {
  if (!holdsPrivateKey(key)) return 'names a secret that is not a private key in PEM';
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
    ? undefined
    : 'names a private key that does not belong to the certificate in client_certificate_file';
}

/** Reads every certificate file of the raw document, whatever else is wrong with it. Never throws. */
export async function openCertificates(
  document: unknown,
  directory: string,
  secrets: ReadonlyMap<string, Secret>,
): Promise<Certificates> {
  const certificates = new Map<string, string>();
  const findings: Finding[] = [];
  for (const { path, fields } of entriesOf(document, 'mcp_configs')) {
    const tls = (fields.tls ?? {}) as Readonly<Record<string, unknown>>;
    for (const field of ['ca_file', 'client_certificate_file']) {
      const file = tls[field];
      if (typeof file !== 'string' || file === '') continue;
      const read = await readCertificates(resolve(directory, file));
      if ('pem' in read) certificates.set(file, read.pem);
      else findings.push({ path: [...path, 'tls', field], part: 'value', message: read.message });
    }
    const certificate = certificates.get(String(tls.client_certificate_file));
    const key = secrets.get(String(tls.client_key))?.reveal();
    const message = certificate && key && findKeyProblem(certificate, key);
    const place: Path = [...path, 'tls', 'client_key'];
    if (message !== undefined && message !== '') findings.push({ path: place, part: 'value', message });
  }
  return { certificates, findings };
}
