// The certificate and the private key of a listener: read and judged together, and again when either file changes.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { Secret } from '../domain/secret.ts';
import { assertUsable, type TlsPair } from '../edge/tls.ts';
import { digestOf, readBytes } from './read-bytes.ts';

export interface TlsFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface LoadedPair extends TlsPair {
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number;
  /** Tells whether the files have changed since. */
  readonly digest: string;
}

/** `field` is the key of the setting that names the file at fault. */
export interface TlsProblem {
  readonly field: 'certificate_file' | 'key_file';
  readonly file: string;
  readonly message: string;
}

export type TlsOutcome = { readonly ok: true; readonly pair: LoadedPair } | ({ readonly ok: false } & TlsProblem);

type Texts = { readonly certificate: string; readonly key: string };

const MAX_FILE_BYTES = 1_000_000;

/** Reads a pair and finds what would keep clients from connecting with it. Never throws. */
export async function readTlsPair(files: TlsFiles, now: () => number = Date.now): Promise<TlsOutcome> {
  return judge(files, await readFiles(files), now());
}

interface Read {
  readonly outcome: Texts | Pick<TlsProblem, 'field' | 'message'>;
  readonly digest: string;
}

async function readFiles({ certificateFile, keyFile }: TlsFiles): Promise<Read> {
  const [certificate, key] = await Promise.all([
    readBytes(certificateFile, MAX_FILE_BYTES),
    readBytes(keyFile, MAX_FILE_BYTES),
  ]);
  const digests = [certificate, key].map((read) => (read.ok ? digestOf(read.bytes) : read.message));
  const digest = digests.join();
  if (!certificate.ok) return { digest, outcome: problem('certificate_file', `the file ${certificate.message}`) };
  if (!key.ok) return { digest, outcome: problem('key_file', `the file ${key.message}`) };
  return { digest, outcome: { certificate: certificate.bytes.toString('latin1'), key: key.bytes.toString('latin1') } };
}

function problem(field: TlsProblem['field'], message: string): Pick<TlsProblem, 'field' | 'message'> {
  return { field, message };
}

function judge(files: TlsFiles, { outcome, digest }: Read, nowMs: number): TlsOutcome {
  const found = 'message' in outcome ? outcome : judgeTexts(outcome, nowMs);
  if ('message' in found) {
    const file = found.field === 'certificate_file' ? files.certificateFile : files.keyFile;
    return { ok: false, file, ...found };
  }
  return { ok: true, pair: { ...found, digest } };
}

function judgeTexts(
  { certificate, key }: Texts,
  nowMs: number,
): Pick<TlsProblem, 'field' | 'message'> | Omit<LoadedPair, 'digest'> {
  const leaf = attempt(() => new X509Certificate(certificate));
  if (leaf === undefined) {
    return problem('certificate_file', 'the file is not a certificate in PEM: -----BEGIN CERTIFICATE----- and so on');
  }
  const privateKey = attempt(() => createPrivateKey(key));
  if (privateKey === undefined) {
    const message = 'the file is not a private key in PEM without a passphrase (`openssl pkey` takes one off)';
    return problem('key_file', message);
  }
  if (!leaf.checkPrivateKey(privateKey)) {
    const message =
      'the key is not that of the certificate in certificate_file: give the one it was made with, and write the certificate before its chain';
    return problem('key_file', message);
  }
  if (leaf.validToDate.getTime() <= nowMs) {
    return problem('certificate_file', `the certificate expired on ${leaf.validToDate.toISOString()}: renew it`);
  }
  const pair = { certificate, key: new Secret(key) };
  const isUsable = attempt(() => {
    assertUsable(pair);
    return true;
  });
  if (isUsable) return { ...pair, expiresAtMs: leaf.validToDate.getTime() };
  const message =
    'the certificate or its chain cannot be used for TLS: see that each part is whole, and its key strong';
  return problem('certificate_file', message);
}

function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    // OpenSSL's words name neither the file nor what to do.
    return undefined;
  }
}

export interface WatchTlsOptions {
  /** How often the files are read; what is wrong with them is told once it has stayed so for as long. Default 250. */
  readonly intervalMs?: number;
}

/**
 * Calls `onChange` when the content of either file is no longer that of `digest`, whichever way it was changed, and with
 * a problem only when that stays: two files cannot be replaced at one moment. Returns the function that stops watching.
 */
export function watchTlsPair(
  files: TlsFiles,
  digest: string,
  onChange: (outcome: TlsOutcome) => void,
  { intervalMs = 250 }: WatchTlsOptions = {},
): () => void {
  let told = digest;
  let doubted: string | undefined;
  let isReading = false;
  let isStopped = false;

  async function look(): Promise<void> {
    if (isReading) return;
    isReading = true;
    const read = await readFiles(files);
    isReading = false;
    if (isStopped) return;
    if (read.digest === told) {
      doubted = undefined;
      return;
    }
    const outcome = judge(files, read, Date.now());
    if (!outcome.ok && read.digest !== doubted) {
      doubted = read.digest;
      return;
    }
    told = read.digest;
    onChange(outcome);
  }

  // Reading, as neither inode nor time of a file tells: secrets are mounted as links that are swapped.
  const timer = setInterval(() => void look(), intervalMs).unref();
  return () => {
    isStopped = true;
    clearInterval(timer);
  };
}
