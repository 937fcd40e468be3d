// The composition root: builds every room with plain constructors and wires the store's change feed to the caches.
// Read it from top to bottom to know what the process consists of.

import { AuditLog } from './audit-log/audit-log.ts';
import type { UpstreamRequest } from './catalog/account-snapshot.ts';
import { Catalogs } from './catalog/catalogs.ts';
import { ConfigurationInForce } from './catalog/configuration-in-force.ts';
import { Inventories } from './catalog/inventories.ts';
import type { ApplyCounts } from './control-plane/config-file.ts';
import { createControlPlane } from './control-plane/control-plane.ts';
import type { Declared } from './control-plane/declared.ts';
import { DeclaredCommands } from './control-plane/declared-commands.ts';
import { McpEndpoint } from './data-plane/endpoint.ts';
import { ListPages } from './data-plane/lists.ts';
import { RequestStates } from './data-plane/request-states.ts';
import { Sessions } from './data-plane/sessions.ts';
import { GatewayError } from './domain/errors.ts';
import type { AccountId, McpConfig, StoredSecret } from './domain/mcp-config.ts';
import { IMPLEMENTATION, VERSION } from './domain/version.ts';
import { createApp, createRequestHandler, type RequestHandlerDeps } from './edge/app.ts';
import { createCors } from './edge/cors.ts';
import { createListener } from './edge/listener.ts';
import { createOriginCheck } from './edge/origin.ts';
import { Authenticator } from './identity/authenticate.ts';
import { type CertificateInUse, openCertificate } from './settings/certificate-in-use.ts';
import { type Address, inheritedEnvironment } from './settings/environment.ts';
import { toJsonSchema } from './settings/schema.ts';
import type { Settings } from './settings/settings.ts';
import { openStore } from './store/open-store.ts';
import type { Store } from './store/store.ts';
import { createLogger, type Logger } from './telemetry/logger.ts';
import { createTelemetry, type Telemetry } from './telemetry/telemetry.ts';
import { type AddressPolicy, judgeEndpoint } from './upstream/address-guard.ts';
import type { EgressProxy } from './upstream/egress-proxy.ts';
import type { UpstreamPools } from './upstream/pool.ts';
import { createStdioPools } from './upstream/stdio/bridge.ts';
import { Launcher } from './upstream/stdio/launcher.ts';
import { Upstream } from './upstream/upstream.ts';
import { assertMasterKey, deriveKeys, type Keys } from './vault/keys.ts';
import { type MasterKeySource, readMasterKey } from './vault/master-key.ts';
import { createSealer } from './vault/sealer.ts';
import { Vault } from './vault/vault.ts';

export interface GatewayOptions {
  readonly settings: Settings;
  readonly masterKey: Pick<MasterKeySource, 'value' | 'file'>;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly log?: Logger;
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
  apply(declared: Declared): Promise<ApplyCounts>;
  /** Says how the last read of the config file went. */
  reportReload(state: ReloadState): void;
  /** Takes no new work, finishes calls in flight for at most `limits.drainMs`, then lets go of everything. */
  close(): Promise<void>;
}

/** The store with the keys that open what is in it: all that the command line needs to make a first key. */
export interface Vaulted {
  readonly store: Store;
  readonly keys: Keys;
}

/** Opens the store and checks that the master key is its own. Throws `GatewayError`. */
export async function openVaulted(
  settings: Pick<Settings, 'store'>,
  masterKey: Pick<MasterKeySource, 'value' | 'file'>,
): Promise<Vaulted> {
  const { url } = settings.store;
  // Replicas that share a store share its key, so only a file of our own gets a key file beside it.
  const beside = url.startsWith('sqlite:') ? { beside: `${url.slice('sqlite:'.length)}.key` } : {};
  const readKeys = () => deriveKeys(readMasterKey({ ...masterKey, ...beside }));
  // A missing key is said before tables are made in a database; a key file is not made before the store is known to be good.
  const known = 'beside' in beside ? undefined : readKeys();
  const store = await openStore(url);
  try {
    const keys = known ?? readKeys();
    await assertMasterKey(store, keys);
    return { store, keys };
  } catch (error) {
    await store.close();
    throw error;
  }
}

export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { settings, now = Date.now } = options;
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
  const parts = { settings, telemetry, now, log, launcher, commands, inherited: inheritedEnvironment() };
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
  const sessions = new Sessions({ sealer: createSealer(keys.sealing, 'session'), now });
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
    log,
    limits,
    now,
  });
  const configuration = new ConfigurationInForce({
    store,
    authenticator,
    catalogs,
    log,
    onReplaced: () => {
      endpoint.endRevoked();
      endpoint.noteChange();
    },
  });
  let isStarted = false;
  let url = '';
  let reload: ReloadState = { ok: true, atMs: now(), problems: [] };

  const configSchema = toJsonSchema();
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
    limits,
  });
  const handleMcp = endpoint.handle.bind(endpoint);
  const app = createApp({
    ...controlPlane,
    authenticator,
    telemetry,
    log,
    configSchema,
    isReady: () => isStarted && !listener.draining,
    readyDetail: () => ({
      epochs: configuration.epochs(),
      config_file: reload,
      certificates: certificates.map((each) => each.describe()),
      audit: auditLog.describe(),
      upstreams: describeUpstreams(catalogs),
    }),
  });
  const open = (
    { host, port }: Address,
    serves: RequestHandlerDeps['serves'],
    tls: CertificateInUse['terminator'] | undefined,
  ) =>
    createListener(
      { host, port, tls, onError: (error) => log.error('request failed', { error }) },
      createRequestHandler({
        app,
        handleMcp,
        telemetry,
        serves,
        findOriginProblem: createOriginCheck({ boundHost: host, ...settings }),
        serveCors: createCors(settings.allowedOrigins),
        isStarted: () => isStarted,
      }),
    );
  const listener = open(settings.listen, settings.admin === undefined ? 'all' : 'mcp', certificate?.terminator);
  const adminListener = settings.admin && open(settings.admin.listen, 'admin', adminCertificate?.terminator);
  declareGauges(telemetry, catalogs, configuration);
  telemetry.clientStreams.collect((family) => family.labels().set(endpoint.streams));
  telemetry.clientConnections.collect((family) => {
    family.labels().set(listener.connections + (adminListener?.connections ?? 0));
  });

  const start = async () => {
    // The addresses first: who is started by mistake beside a running gateway must not rewrite the store that one serves from.
    url = toUrl(await listener.listen(), certificate);
    const adminUrl = adminListener === undefined ? url : toUrl(await adminListener.listen(), adminCertificate);
    const opened = auditLog.start();
    for (const each of certificates) each.watch();
    for (const account of await store.accounts()) await catalogs.lists.restore(account.id);
    await controlPlane.apply(settings.declared);
    await opened;
    isStarted = true;
    return { url, adminUrl };
  };

  const close = async () => {
    endpoint.endStreams();
    await listener.drain(settings.limits.drainMs);
    // Last, so that `/readyz` says so while calls finish.
    await adminListener?.drain(ADMIN_DRAIN_MS);
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
    close,
    async listen() {
      try {
        return await start();
      } catch (error) {
        await close();
        throw error;
      }
    },
    reportReload(state) {
      reload = state;
      telemetry.configLastReloadOk.set(state.ok ? 1 : 0);
      if (!state.ok) telemetry.configReloadFailures.add();
    },
  };
}

/** Operators' requests are short; a scrape that hangs does not hold up the exit. */
const ADMIN_DRAIN_MS = 1_000;

function toUrl({ host, port }: Address, certificate: CertificateInUse | undefined): string {
  return `${certificate === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What upstreams are made of, beside their configs. */
interface UpstreamParts {
  readonly settings: Settings;
  readonly telemetry: Telemetry;
  readonly now: () => number;
  readonly log: Logger;
  readonly launcher: Launcher;
  readonly commands: DeclaredCommands;
  /** What every command finds in its environment. */
  readonly inherited: Readonly<Record<string, string>>;
}

function createUpstream(request: UpstreamRequest, purpose: 'serve' | 'try', parts: UpstreamParts): Upstream {
  const { settings, telemetry, now, log } = parts;
  const { key, config, credentialHeaders, clientKey } = request;
  const { endpoint, tls, limits: own } = config.config;
  const url = new URL(endpoint);
  const policy = policyOf(url, config.config, settings);
  const pools = createCommandPools(request, parts);
  const problem = pools === undefined ? judgeEndpoint(url, policy) : undefined;
  if (problem !== undefined) throw new GatewayError('invalid_argument', `endpoint: ${problem}.`);
  const { limits } = settings;
  return new Upstream({
    key,
    service: config.service,
    endpoint: url,
    policy,
    credentialHeaders,
    tls: tls === null ? undefined : { config: tls, clientKey },
    proxy: toEgressProxy(request, settings),
    pools,
    limits: {
      connections: own.connections ?? limits.connectionsPerCredential,
      connectTimeoutMs: own.connectTimeoutMs ?? limits.connectTimeoutMs,
      headersTimeoutMs: own.headerTimeoutMs ?? limits.headerTimeoutMs,
      idleTimeoutMs: own.idleTimeoutMs ?? limits.idleTimeoutMs,
      sessionIdleMs: limits.sessionIdleMs,
    },
    callLimits: own,
    clientInfo: IMPLEMENTATION,
    now,
    onFailure: (failure) => {
      // A preview may be of any service, and nobody is served by it.
      if (purpose === 'serve') telemetry.upstreamFailures.labels(config.service, failure.reason).add();
    },
    onWatchLost: (message) =>
      log.warn('changes are not heard of for now', { service: config.service, reason: message }),
  });
}

/** Of an upstream that is a command; nothing is started yet. */
function createCommandPools(
  { config: { config }, variables }: UpstreamRequest,
  { settings: { limits }, now, log, launcher, commands, inherited }: UpstreamParts,
): UpstreamPools | undefined {
  const { stdio, name, limits: own } = config;
  if (stdio === null) return undefined;
  if (!commands.has(config)) {
    throw new GatewayError('invalid_argument', 'stdio: the config file of this gateway declares no such command.');
  }
  const revealed = variables.map((each) => [
    each.name,
    typeof each.value === 'string' ? each.value : each.value.reveal(),
  ]);
  const secrets = variables.flatMap(({ value }) => (typeof value === 'string' ? [] : value.reveal()));
  const { command, args, cwd, process } = stdio;
  return createStdioPools({
    name,
    launch: { command, args, cwd, env: { ...inherited, ...Object.fromEntries(revealed) } },
    process,
    secrets,
    launcher,
    maxProcesses: own.connections ?? limits.connectionsPerCredential,
    startTimeoutMs: own.headerTimeoutMs ?? limits.headerTimeoutMs,
    clientInfo: IMPLEMENTATION,
    log,
    now,
  });
}

/** What the operator's own file names, the operator has admitted (design §3, Endpoints). */
function policyOf(url: URL, { managedBy }: McpConfig, { upstreams }: Settings): AddressPolicy {
  return { ...upstreams, ...(managedBy === 'file' ? { admitted: url.origin } : {}) };
}

function toEgressProxy(
  { config: { config }, proxyAuthorization }: UpstreamRequest,
  settings: Settings,
): EgressProxy | undefined {
  if (config.proxy === null) return undefined;
  const url = new URL(config.proxy.url);
  // A proxy is spoken to in plain HTTP; whether the upstream may be is a question about the endpoint.
  const policy = { ...policyOf(url, config, settings), allowHttp: true };
  const problem = judgeEndpoint(url, policy);
  if (problem !== undefined) throw new GatewayError('invalid_argument', `proxy: ${problem}.`);
  return { url, authorization: proxyAuthorization, policy };
}

function toSecretRef(accountId: AccountId, secret: StoredSecret) {
  return { accountId, secretId: secret.id, name: secret.name, version: secret.version };
}

function describeUpstreams(catalogs: Catalogs): object[] {
  return [...catalogs.upstreams()].map((upstream) => {
    const { service, failure, circuit } = upstream;
    const tools = catalogs.lists.get(upstream)?.tools.size ?? null;
    if (failure === undefined) return { service, state: tools === null ? 'starting' : 'ok', tools };
    const { stage, message, reason, atMs, sinceMs } = failure;
    return {
      service,
      state: 'failing',
      circuit,
      tools,
      last_failure: {
        stage,
        reason,
        message,
        at: new Date(atMs).toISOString(),
        since: new Date(sinceMs).toISOString(),
      },
    };
  });
}

function declareGauges(telemetry: Telemetry, catalogs: Catalogs, configuration: ConfigurationInForce): void {
  telemetry.buildInfo.labels(VERSION, process.version).set(1);
  telemetry.epoch.collect((family) => {
    for (const [account, epoch] of Object.entries(configuration.epochs())) family.labels(account).set(epoch);
  });
  telemetry.poolConnections.collect((family) => {
    for (const { service, pools } of catalogs.upstreams()) {
      const { connected, free } = pools.stats();
      family.labels(service, 'idle').add(free);
      family.labels(service, 'busy').add(connected - free);
    }
  });
  telemetry.callsInFlight.collect((family) => {
    for (const { service, calls } of catalogs.upstreams()) family.labels(service).add(calls);
  });
  telemetry.upstreamSessions.collect((family) => {
    for (const { service, sessions } of catalogs.upstreams()) family.labels(service).add(sessions);
  });
  telemetry.residentMemory.collect((family) => family.labels().set(process.memoryUsage.rss()));
  telemetry.heapUsed.collect((family) => family.labels().set(process.memoryUsage().heapUsed));
}
