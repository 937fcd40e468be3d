// The control plane put together: one table of operations, the doors that are made from it, and the config file's own.

import { randomUUIDv7 } from 'node:crypto';
import type { AuditLog } from '../audit-log/audit-log.ts';
import type { Catalogs } from '../catalog/catalogs.ts';
import type { ConfigurationInForce } from '../catalog/configuration-in-force.ts';
import { effectOfWrite } from '../catalog/effect.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import { hashToken } from '../identity/tokens.ts';
import { RateLimiter } from '../rate-limiter.ts';
import { DEFAULT_ACCOUNT, type Store } from '../store/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import { judgeEndpoint } from '../upstream/address-guard.ts';
import type { Keys } from '../vault/keys.ts';
import { createSealer } from '../vault/sealer.ts';
import type { Vault } from '../vault/vault.ts';
import type { ChangeDeps } from './change.ts';
import { type ClaimDoor, createClaimDoor } from './claim-door.ts';
import { Claims } from './claims.ts';
import { type Applied, applyDeclared } from './config-file.ts';
import type { Declared } from './declared.ts';
import type { ManagementDoor } from './management-mcp.ts';
import { toOpenApi } from './openapi.ts';
import { createOperations } from './operations.ts';
import { createPerform } from './perform.ts';
import { createRestDoor, type RestDoor } from './rest.ts';

export interface ControlPlaneDeps {
  readonly store: Store;
  readonly keys: Keys;
  readonly vault: Vault;
  readonly authenticator: Authenticator;
  readonly catalogs: Catalogs;
  readonly configuration: ConfigurationInForce;
  readonly auditLog: AuditLog;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** JSON schema of the config file. */
  readonly configSchema: object;
  /** Where clients reach this gateway, such as `https://mcp.example.com`. */
  readonly publicUrl: () => string;
  /** What endpoints may be, beyond public https ones. */
  readonly upstreams: { readonly allowHttp: boolean; readonly allowCidrs: readonly string[] };
  /** Brings what was written here into force in other processes on the same port. */
  readonly refreshOthers: () => Promise<unknown>;
  readonly limits: { readonly apiRequestsPerMinute: number; readonly listWaitMs: number };
}

export interface ControlPlane {
  readonly rest: RestDoor;
  readonly manage: ManagementDoor;
  readonly claim: ClaimDoor;
  /** Requests of one API key, through whichever door. */
  readonly limiter: RateLimiter;
  openApi(): object;
  /** Makes what a config file declares the configuration in force; resolves when it is. */
  apply(declared: Declared): Promise<Applied>;
}

export function createControlPlane(deps: ControlPlaneDeps): ControlPlane {
  const { store, keys, vault, authenticator, catalogs, configuration, auditLog, log, now, limits } = deps;
  let positions: Declared['positions'] = new Map();
  const changeDeps: ChangeDeps = {
    store,
    auditKey: keys.audit,
    now,
    known: (account) => configuration.of(account),
    noteHead: (account, { sequence, mac }) => auditLog.noteChange(account, { sequence, mac }),
    effectOf: (before, kind, was, is) => effectOfWrite(catalogs, before, kind, was, is),
    positionOf: (kind, name) => positions.get(`${kind} ${name}`),
  };
  const refresh = () => configuration.refresh();
  const refreshAll = async () => {
    await refresh();
    await deps.refreshOthers();
  };
  const claimUrl = (code: string) => `${deps.publicUrl()}/claim/${code}`;
  const claimSealer = createSealer(keys.sealing, 'claim');
  const operations = createOperations({
    ...changeDeps,
    pepper: keys.tokenPepper,
    sealSecret: (ref, plaintext) => vault.seal(ref, plaintext),
    findAddressProblem: (endpoint) => judgeEndpoint(new URL(endpoint), deps.upstreams),
    newId: (prefix) => `${prefix}_${randomUUIDv7().replaceAll('-', '')}`,
    readCalls: auditLog.recordsCalls ? (query, cursor, limit) => auditLog.read(query, cursor, limit) : undefined,
    mcpUrl: () => `${deps.publicUrl()}/mcp`,
    claimSealer,
    claimUrl,
    catalogs,
    listWaitMs: limits.listWaitMs,
    refresh,
  });
  const perform = createPerform({
    ...changeDeps,
    replySealer: createSealer(keys.sealing, 'reply'),
    refresh: refreshAll,
  });
  const limiter = new RateLimiter({
    permits: limits.apiRequestsPerMinute,
    windowMs: 60_000,
    // Not the clock on the wall: one that is put back would lock out whoever has asked before.
    now: () => performance.now(),
  });
  let management: Promise<ManagementDoor> | undefined;
  let openApi: object | undefined;
  return {
    rest: createRestDoor({ authenticator, operations, perform, limiter }),
    claim: createClaimDoor(new Claims({ store, sealer: claimSealer, now, log }), claimUrl),
    limiter,
    manage: async (request, operator) => {
      // The SDK is loaded for whoever uses it: most gateways are never managed this way.
      management ??= import('./management-mcp.ts').then(({ createManagementDoor }) =>
        createManagementDoor({ operations, perform, configSchema: deps.configSchema, log }),
      );
      return (await management)(request, operator);
    },
    // Made when it is first asked for: it takes longer than all the rest of the routes.
    openApi: () => {
      openApi ??= toOpenApi(operations);
      return openApi;
    },
    apply: async (declared) => {
      const applied = await applyDeclared(DEFAULT_ACCOUNT, declared, {
        ...changeDeps,
        sealSecret: (ref, plaintext) => vault.seal(ref, plaintext),
        openSecret: (ref, sealed) => vault.open(ref, sealed),
        hashToken: (text) => hashToken(keys.tokenPepper, text),
      });
      positions = declared.positions;
      for (const warning of applied.warnings) log.warn('config file', { warning });
      await refreshAll();
      return applied;
    },
  };
}
