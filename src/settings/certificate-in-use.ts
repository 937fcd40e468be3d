// The certificate of one listener from start to stop: a good new pair takes the place of the old one in new handshakes, a
// bad one is told and changes nothing.

import { GatewayError } from '../domain/errors.ts';
import { createTlsTerminator, type TlsTerminator } from '../edge/tls.ts';
import type { Logger } from '../telemetry/logger.ts';
import { readTlsPair, type TlsFiles, type TlsOutcome, watchTlsPair } from './tls-pair.ts';

export interface CertificateInUse {
  readonly terminator: TlsTerminator;
  /** From here on until `close`, changes of the files are noticed within a second. */
  watch(): void;
  close(): void;
  /** For `/readyz?detail`: how the last read of the files went, and until when the certificate in use is valid. */
  describe(): object;
}

export interface CertificateOptions {
  /** The setting that names the files, such as `listen.tls`. */
  readonly setting: string;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Reads the pair for the first time; without files there is none. Throws `GatewayError` when it cannot be used. */
export async function openCertificate(
  files: TlsFiles | undefined,
  { setting, log, now }: CertificateOptions,
): Promise<CertificateInUse | undefined> {
  if (files === undefined) return undefined;
  const first = await readTlsPair(files, now);
  if (!first.ok) throw new GatewayError('invalid_argument', tell(setting, first));
  const terminator = createTlsTerminator(first.pair);
  const { certificateFile } = files;
  let { expiresAtMs } = first.pair;
  let readAtMs = now();
  let problem: string | undefined;
  let stop = (): void => undefined;

  function onChange(outcome: TlsOutcome): void {
    readAtMs = now();
    if (!outcome.ok) {
      problem = tell(setting, outcome);
      log.warn('certificate not used', {
        setting: `${setting}.${outcome.field}`,
        file: outcome.file,
        reason: outcome.message,
      });
      return;
    }
    terminator.use(outcome.pair);
    problem = undefined;
    expiresAtMs = outcome.pair.expiresAtMs;
    log.info('certificate in use', { setting, file: certificateFile });
  }

  return {
    terminator,
    watch() {
      stop();
      stop = watchTlsPair(files, first.pair.digest, onChange);
    },
    close() {
      stop();
    },
    describe: () => ({
      setting,
      ok: problem === undefined,
      at: new Date(readAtMs).toISOString(),
      expires: new Date(expiresAtMs).toISOString(),
      problems: problem === undefined ? [] : [problem],
    }),
  };
}

function tell(setting: string, { field, message, file }: TlsOutcome & { ok: false }): string {
  return `${setting}.${field}: ${message} (${file})`;
}
