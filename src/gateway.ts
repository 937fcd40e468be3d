// The composition root: builds every room with plain constructors and wires the store's change feed to the caches.
// Read it from top to bottom to know what the process consists of.

import { AuditLog } from './audit-log/audit-log.ts';
import { Catalogs } from './catalog/catalogs.ts';
import { ConfigurationInForce } from './catalog/configuration-in-force.ts';
import { Inventories } from './catalog/inventories.ts';
import type { Applied } from './control-plane/config-file.ts';
import { createControlPlane } from './control-plane/control-plane.ts';
import type { Declared } from './control-plane/declared.ts';
import { DeclaredCommands } from './control-plane/declared-commands.ts';
import { McpEndpoint } from './data-plane/endpoint.ts';
import { ListPages } from './data-plane/lists.ts';
import { RequestStates } from './data-plane/request-states.ts';
import { Sessions } from './data-plane/sessions.ts';
import type { AccountId, StoredSecret } from './domain/mcp-config.ts';
import { createApp } from './edge/app.ts';
import { Siblings } from './edge/siblings.ts';
import { createUpstream } from './gateway/create-upstream.ts';
import { declareGauges, describeUpstreams, describeWorker } from './gateway/gauges.ts';
import { Listeners } from './gateway/listeners.ts';
import { answerSibling, toSiblings } from './gateway/siblings.ts';
import { openVaulted } from './gateway/vaulted.ts';
import { type Question, shareLimits, type WorkerPlace } from './gateway/worker-place.ts';
import { Authenticator } from './identity/authenticate.ts';
import { openCertificate } from './settings/certificate-in-use.ts';
import { inheritedEnvironment } from './settings/environment.ts';
import { toJsonSchema } from './settings/schema.ts';
import type { Settings } from './settings/settings.ts';
import { createLogger, type Logger } from './telemetry/logger.ts';
import { createTelemetry } from './telemetry/telemetry.ts';
import { Launcher } from './upstream/stdio/launcher.ts';
import type { MasterKeySource } from './vault/master-key.ts';
import { createSealer } from './vault/sealer.ts';
import { Vault } from './vault/vault.ts';

export interface GatewayOptions {
  readonly settings: Settings;
  readonly masterKey: Pick<MasterKeySource, 'value' | 'file'>;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly log?: Logger;
  /** Where it is one of several processes on one port. */
  readonly worker?: WorkerPlace | undefined;
}

/** The state of the config file, for `/readyz?detail`. */
export interface ReloadState {
  readonly ok: boolean;
  readonly atMs: number;
  readonly problems: readonly string[];
}

export interface Gateway {
  readonly log: Logger;
  /**
   * Takes the addresses, applies what the config file declares, and serves; until then requests are answered with 503.
   * Throws `GatewayError` when an address cannot be bound, before anything is written, or the declared configuration
   * cannot be applied; the gateway is closed then.
   */
  listen(): Promise<{ readonly url: string; readonly adminUrl: string }>;
  /** Makes what the config file declares the configuration in force; resolves when it is. */
  apply(declared: Declared): Promise<Applied>;
  /** `listener` is told when a backup was restored under the gateway: what was applied may not be in force any more. */
  onRestored(listener: () => void): void;
  /** Says how the last read of the config file went. */
  reportReload(state: ReloadState): void;
  /** Answers what another process on the same port asks. */
  answer(question: Question): Promise<unknown>;
  /** Takes no new work, finishes calls in flight for at most `limits.drainMs`, then lets go of everything. */
  close(): Promise<void>;
}

export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { now = Date.now, worker } = options;
  const processes = worker?.count ?? 1;
  const settings = { ...options.settings, limits: shareLimits(options.settings.limits, processes) };
  const log = options.log ?? createLogger({ level: settings.log.level });
  const certificate = await openCertificate(settings.listen.tls, { setting: 'listen.tls', log, now });
  const adminTls = settings.admin?.listen.tls;
  const adminCertificate = await openCertificate(adminTls, { setting: 'admin.listen.tls', log, now });
  const certificates = [certificate, adminCertificate].filter((each) => each !== undefined);
  const { store, keys } = await openVaulted(settings, options.masterKey);
  const telemetry = createTelemetry();
  const vault = new Vault(keys);
  const authenticator = new Authenticator({ pepper: keys.tokenPepper, now });
  const launcher = new Launcher(log);
  const commands = new DeclaredCommands(settings.declared);
  const parts = { settings, processes, telemetry, now, log, launcher, commands, inherited: inheritedEnvironment() };
  const catalogs = new Catalogs({
    openSecret: (accountId, secret) => vault.open(toSecretRef(accountId, secret), secret.sealed),
    createUpstream: (request, purpose) => createUpstream(request, purpose, parts),
    createLists: (countChange) => {
      const onChange = (): void => {
        countChange();
        endpoint.noteChange();
      };
      return new Inventories({ store, ttlMs: settings.limits.listTtlMs, now, log, onChange });
    },
    ttlMs: settings.limits.listTtlMs,
    now,
  });
  const siblings = worker && new Siblings(worker);
  const sessions = new Sessions({
    sealer: createSealer(keys.sealing, 'session'),
    now,
    owns: siblings?.owns.bind(siblings),
  });
  const pageSize = settings.limits.listPageTools;
  const listPages = new ListPages({ sealer: createSealer(keys.sealing, 'cursor'), pageSize, now });
  const { limits } = settings;
  const auditLog = new AuditLog({ ...settings.audit, key: keys.audit, now, log, telemetry });
  const endpoint = new McpEndpoint({
    authenticator,
    catalogs,
    sessions,
    listPages,
    states: new RequestStates({ sealer: createSealer(keys.sealing, 'request-state'), now }),
    telemetry,
    auditLog,
    siblings: siblings && worker && toSiblings(siblings, worker),
    log,
    limits,
    now,
  });
  let noteRestored = (): void => undefined;
  const configuration = new ConfigurationInForce({
    store,
    authenticator,
    catalogs,
    log,
    onReplaced: (isRestored) => {
      endpoint.endRevoked();
      endpoint.noteChange();
      if (isRestored) noteRestored();
    },
  });
  let isStarted = false;
  let url = '';
  let reload: ReloadState = { ok: true, atMs: now(), problems: [] };

  let generated: object | undefined;
  // Generated for whom it is sent to, once: it would be a tenth of a start.
  const configSchema = {
    toJSON: () => {
      generated ??= toJsonSchema();
      return generated;
    },
  };
  const controlPlane = createControlPlane({
    store,
    keys,
    vault,
    authenticator,
    catalogs,
    configuration,
    auditLog,
    log,
    now,
    configSchema,
    publicUrl: () => settings.publicUrl?.replace(/\/+$/, '') ?? url,
    upstreams: settings.upstreams,
    refreshOthers: async () => worker?.ask({ ask: 'refresh' }),
    limits,
  });
  const app = createApp({
    ...controlPlane,
    authenticator,
    readMetrics: worker?.readMetrics ?? (async () => telemetry.metrics.snapshot()),
    log,
    configSchema,
    isReady: () => isStarted && !listeners.isDraining,
    readyDetail: () => ({
      ...(worker === undefined ? {} : { worker: describeWorker(worker, telemetry, listeners) }),
      epochs: configuration.epochs(),
      config_file: reload,
      certificates: certificates.map((each) => each.describe()),
      audit: auditLog.describe(),
      upstreams: describeUpstreams(catalogs),
    }),
  });
  const listeners = new Listeners({
    settings,
    certificate,
    adminCertificate,
    request: { app, handleMcp: endpoint.handle.bind(endpoint), telemetry, isStarted: () => isStarted },
    worker,
    siblings,
    log,
  });
  declareGauges(telemetry, catalogs, configuration);
  telemetry.clientStreams.collect((family) => family.labels().set(endpoint.streams));
  telemetry.clientConnections.collect((family) => family.labels().set(listeners.connections));

  const start = async () => {
    // The addresses first: who is started by mistake beside a running gateway must not rewrite the store that one serves from.
    const urls = await listeners.listen();
    url = urls.url;
    const opened = auditLog.start();
    for (const each of certificates) each.watch();
    for (const account of await store.accounts()) await catalogs.lists.restore(account.id);
    await controlPlane.apply(settings.declared);
    await opened;
    isStarted = true;
    return urls;
  };

  const close = async () => {
    endpoint.endStreams();
    await listeners.drain();
    for (const each of certificates) each.close();
    configuration.close();
    endpoint.close();
    await catalogs.close();
    await launcher.close();
    // Behind the last call: the end of a connection to an upstream is the end of one.
    await auditLog.close();
    await store.close();
  };

  return {
    log,
    apply: (declared) => commands.during(declared, () => controlPlane.apply(declared)),
    answer: (question) => answerSibling(question, { telemetry, configuration, notices: endpoint.notices }),
    close,
    async listen() {
      try {
        return await start();
      } catch (error) {
        await close();
        throw error;
      }
    },
    onRestored(listener) {
      noteRestored = listener;
    },
    reportReload(state) {
      reload = state;
      telemetry.configLastReloadOk.set(state.ok ? 1 : 0);
      if (!state.ok) telemetry.configReloadFailures.add();
    },
  };
}

function toSecretRef(accountId: AccountId, secret: StoredSecret) {
  return { accountId, secretId: secret.id, name: secret.name, version: secret.version };
}
