// Where a gateway is connected to: by agents, by operators where they have a listener of their own, and by the other
// processes on the same port where there are some.

import { createRequestHandler, type RequestHandlerDeps } from '../edge/app.ts';
import { createCors } from '../edge/cors.ts';
import { createListener, type Listener } from '../edge/listener.ts';
import { createOriginCheck } from '../edge/origin.ts';
import { type ConnectionSource, toUrl } from '../edge/port.ts';
import type { OnRequest } from '../edge/request-gate.ts';
import type { Siblings } from '../edge/siblings.ts';
import type { CertificateInUse } from '../settings/certificate-in-use.ts';
import type { Address } from '../settings/environment.ts';
import type { Settings } from '../settings/settings.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { WorkerPlace } from './worker-place.ts';

export interface ListenersOptions {
  readonly settings: Settings;
  readonly certificate: CertificateInUse | undefined;
  readonly adminCertificate: CertificateInUse | undefined;
  readonly request: Omit<RequestHandlerDeps, 'findOriginProblem' | 'serveCors' | 'serves'>;
  readonly worker: WorkerPlace | undefined;
  readonly siblings: Siblings | undefined;
  readonly log: Logger;
}

/** Operators' requests are short; a scrape that hangs does not hold up the exit. */
const ADMIN_DRAIN_MS = 1_000;

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #main: Listener;
  readonly #admin: Listener | undefined;
  readonly #door: Listener | undefined;

  constructor(options: ListenersOptions) {
    this.#options = options;
    const { settings, certificate, adminCertificate, worker, siblings, request } = options;
    const { admin } = settings;
    const serves = admin === undefined ? 'all' : 'mcp';
    this.#main = this.#create(settings.listen, serves, certificate, worker?.main);
    this.#admin = admin && this.#create(admin.listen, 'admin', adminCertificate, worker?.admin);
    this.#door = siblings && this.#createDoor(siblings, request.handleMcp);
  }

  /** Throws `GatewayError` `invalid_argument` for an address that cannot be bound. */
  async listen(): Promise<{ readonly url: string; readonly adminUrl: string }> {
    const { certificate, adminCertificate } = this.#options;
    const url = toUrl(await this.#main.listen(), certificate);
    const adminUrl = this.#admin === undefined ? url : toUrl(await this.#admin.listen(), adminCertificate);
    await this.#door?.listen();
    return { url, adminUrl };
  }

  /** Lets requests in flight finish for at most `limits.drainMs`. */
  async drain(): Promise<void> {
    const { drainMs } = this.#options.settings.limits;
    await Promise.all([this.#main.drain(drainMs), this.#door?.drain(drainMs)]);
    this.#options.siblings?.close();
    // Last, so that `/readyz` says so while calls finish.
    await this.#admin?.drain(ADMIN_DRAIN_MS);
  }

  get isDraining(): boolean {
    return this.#main.draining;
  }

  /** Of clients. */
  get connections(): number {
    return this.#main.connections + (this.#admin?.connections ?? 0);
  }

  #create(
    { host, port }: Address,
    serves: RequestHandlerDeps['serves'],
    certificate: CertificateInUse | undefined,
    source: ConnectionSource | undefined,
  ): Listener {
    const { settings, request, siblings } = this.#options;
    const { handleMcp } = request;
    const handler = createRequestHandler({
      ...request,
      handleMcp: siblings?.atOwner(handleMcp) ?? handleMcp,
      serves,
      findOriginProblem: createOriginCheck({ boundHost: host, ...settings }),
      serveCors: createCors(settings.allowedOrigins),
    });
    const tls = certificate?.terminator;
    return createListener({ host, port, source, tls, onError: (error) => this.#onError(error) }, handler);
  }

  #createDoor(siblings: Siblings, handleMcp: OnRequest): Listener {
    const onError = (error: unknown): void => this.#onError(error);
    return createListener({ host: '', port: 0, source: siblings.socket(), onError }, siblings.fromOthers(handleMcp));
  }

  #onError(error: unknown): void {
    this.#options.log.error('request failed', { error });
  }
}
