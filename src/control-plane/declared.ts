// What a config file declares, by names and with its values opened: the settings make it, the file door applies it.

import type { AuthMechanism, ConfigLimits, ConfigTls, StdioCommand } from '../domain/mcp-config.ts';
import type { NameStyle } from '../domain/principal.ts';
import type { Secret } from '../domain/secret.ts';

export interface DeclaredSecret {
  readonly name: string;
  readonly value: Secret;
}

/** Variables take secrets by the name of a declared one. */
export interface DeclaredStdio extends Omit<StdioCommand, 'env'> {
  readonly env: readonly ({ readonly name: string } & (
    | { readonly value: string }
    | { readonly secret: string }
    | { readonly fromGrant: true }
  ))[];
}

export interface DeclaredMcpConfig {
  readonly name: string;
  readonly endpoint: string;
  readonly allowedTools: readonly string[];
  readonly allowedPrompts: readonly string[];
  readonly allowedResources: readonly string[];
  readonly authMechanism: AuthMechanism;
  /** `secret` is the name of a declared secret. */
  readonly customHeaders: readonly ({ readonly name: string } & (
    | { readonly value: string }
    | { readonly secret: string }
  ))[];
  /** Certificates as PEM, the key by the name of its secret. */
  readonly tls: (Omit<ConfigTls, 'clientKeySecretId'> & { readonly clientKey: string | null }) | null;
  readonly proxy: { readonly url: string; readonly secret: string | null } | null;
  readonly stdio: DeclaredStdio | null;
  readonly limits: ConfigLimits;
  readonly description: string | null;
}

/** A grant by names; the stored one is by ids. */
export interface DeclaredGrant {
  readonly mcpConfig: string;
  readonly secret: string | null;
  readonly allowedTools: readonly string[] | null;
}

export interface DeclaredToken {
  readonly name: string;
  readonly value: Secret;
  readonly grants: readonly DeclaredGrant[];
  readonly nameStyle: NameStyle;
  readonly expiresAtMs: number | null;
}

/** Everything a config file declares; names are unique and references resolve, as its reader has checked. */
export interface Declared {
  readonly secrets: readonly DeclaredSecret[];
  readonly mcpConfigs: readonly DeclaredMcpConfig[];
  readonly tokens: readonly DeclaredToken[];
  /** Where each object stands in the file, as `file:line:column`, by kind and name: `mcp_config github-readonly`. */
  readonly positions: ReadonlyMap<string, string>;
  /** Changes with the text of the file; says nothing of the values behind `value_from`. */
  readonly digest: string;
}
