// What the TLS of one config is made of: whom it trusts and what it shows. Made at the first connection, as parsing the
// public authorities takes ten milliseconds, and shared by all credentials of the config, as each copy takes a megabyte.

import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import type { ConfigTls } from '../domain/mcp-config.ts';
import type { Secret } from '../domain/secret.ts';

export interface UpstreamTls {
  readonly config: ConfigTls;
  /** The opened private key of the client certificate. */
  readonly clientKey: Secret | undefined;
}

/** The certificates or the key of a config are not what TLS can work with. The message holds nothing of them. */
export class TlsSettingsError extends Error {
  readonly code = 'SWITCHBOARD_TLS_SETTINGS';

  constructor(cause: unknown) {
    super('the certificates and the key this gateway holds for it cannot be used', { cause });
    this.name = 'TlsSettingsError';
  }
}

/** Goes with the config: a removed key does not stay in memory. */
const contexts = new WeakMap<ConfigTls, { readonly key: string | undefined; readonly context: SecureContext }>();

/** Throws `TlsSettingsError`. */
export function secureContextFor({ config, clientKey }: UpstreamTls): SecureContext {
  const key = clientKey?.reveal();
  const known = contexts.get(config);
  if (known !== undefined && known.key === key) return known.context;
  const { ca, clientCertificate } = config;
  try {
    const context = createSecureContext({
      // Beside the public authorities and not in their place: an upstream behind a corporate CA may move to a public one.
      ...(ca === null ? {} : { ca: [...getCACertificates('default'), ca] }),
      ...(clientCertificate === null || key === undefined ? {} : { cert: clientCertificate, key }),
    });
    contexts.set(config, { key, context });
    return context;
  } catch (error) {
    throw new TlsSettingsError(error);
  }
}
