// The one route table. The exact path `/mcp` goes from the listener straight to the endpoint, so that Hono builds no
// Request for it; every other path is answered here.

import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { problemBody, type RestDoor } from '../control-plane/rest.ts';
import { ERRORS, GatewayError, toRetryAfter } from '../domain/errors.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { Logger } from '../telemetry/logger.ts';
import { METRICS_CONTENT_TYPE } from '../telemetry/metrics.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { ServeCors } from './cors.ts';
import { type FindOriginProblem, isLocalPeer } from './origin.ts';
import { refusalBody, writeRefusal } from './refusal.ts';
import type { EdgeRequest, OnRequest } from './request-gate.ts';

export interface AppDeps {
  readonly rest: RestDoor;
  readonly authenticator: Authenticator;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly configSchema: object;
  readonly openApi: () => object;
  /** Whether requests should be sent here now. */
  readonly isReady: () => boolean;
  /** Names services and reasons: for operators. */
  readonly readyDetail: () => object;
}

type Bindings = { Bindings: Partial<HttpBindings> };

/** Where MCP clients look for OAuth after a 401: answered at once, so that their search ends (RFC 9728, RFC 8414, RFC 7591). */
const OAUTH_PATHS = [
  '/.well-known/oauth-protected-resource',
  '/.well-known/oauth-protected-resource/*',
  '/.well-known/oauth-authorization-server',
  '/.well-known/oauth-authorization-server/*',
  '/.well-known/openid-configuration',
  '/.well-known/openid-configuration/*',
  '/register',
];

export function createApp(deps: AppDeps): Hono<Bindings> {
  const app = new Hono<Bindings>({ strict: true });
  app.get('/livez', (context) => context.json({ status: 'live' }));
  app.get('/readyz', (context) => {
    const isReady = deps.isReady();
    const state = { status: isReady ? 'ready' : 'not ready' };
    if (context.req.query('detail') === undefined) return context.json(state, isReady ? 200 : 503);
    requireOperator(context, deps.authenticator);
    return context.json({ ...state, ...deps.readyDetail() }, isReady ? 200 : 503);
  });
  app.get('/metrics', (context) => {
    requireOperator(context, deps.authenticator);
    return context.body(deps.telemetry.metrics.render(), 200, { 'content-type': METRICS_CONTENT_TYPE });
  });
  app.get('/schema/config.json', (context) => context.json(deps.configSchema));
  app.get('/openapi.json', (context) => context.json(deps.openApi()));
  for (const path of OAUTH_PATHS) {
    app.all(path, () => {
      throw new GatewayError(
        'not_found',
        'There is no OAuth here. Send the token you were given as the header "Authorization: Bearer TOKEN".',
      );
    });
  }
  app.route('/v1', deps.rest);
  app.notFound((context) => toResponse(context, new GatewayError('not_found', describeNothingAt(context.req.path))));
  app.onError((error, context) => {
    if (error instanceof GatewayError) return toResponse(context, error);
    deps.log.error('request failed', { error });
    return toResponse(context, new GatewayError('internal', 'The gateway failed on this request. Its log says why.'));
  });
  return app;
}

export interface RequestHandlerDeps {
  readonly app: Hono<Bindings>;
  readonly handleMcp: OnRequest;
  readonly findOriginProblem: FindOriginProblem;
  readonly serveCors: ServeCors;
  readonly telemetry: Telemetry;
  /** False until the configuration that is to be served is in force. */
  readonly isStarted: () => boolean;
  /** What this listener serves: with an admin listener, agents find `/mcp` and nothing else on the main one. */
  readonly serves: 'all' | 'mcp' | 'admin';
}

/** Everything else would be a second spelling of a path: what a proxy in front compares must be what is served here. */
const PLAIN_PATH = /^(?:\/(?!\.\.?(?:\/|$))[\w.~-]+)*\/?$/;

const STARTING_RETRY_MS = 1_000;

/** What a listener calls: Host and Origin first, then the endpoint or the routes. */
export function createRequestHandler(deps: RequestHandlerDeps): OnRequest {
  const serveRoutes = getRequestListener(deps.app.fetch, { overrideGlobalObjects: false, errorHandler: refuseHost });
  return (request, response) => {
    const url = request.url ?? '';
    // Probes come by address, whatever name the gateway goes by, and are told a word.
    const isProbe = url === '/livez' || url === '/readyz';
    const problem = isProbe ? undefined : deps.findOriginProblem(request);
    if (problem !== undefined) {
      deps.telemetry.httpRefusals.labels('forbidden').add();
      writeRefusal(response, 403, 'forbidden', problem);
      return;
    }
    const isMcp = url === '/mcp' || url.startsWith('/mcp?');
    const nothing = findNothing(url, isMcp, deps.serves);
    if (nothing !== undefined) {
      writeRefusal(response, 404, 'not_found', nothing);
      return;
    }
    const { origin } = request.headers;
    // Not for metrics and details, which need no key from a peer on this machine: its browser is one.
    if (origin !== undefined && (isMcp || isRest(url)) && deps.serveCors(request, response, origin)) return;
    if (!isProbe && !deps.isStarted()) {
      response.setHeader('retry-after', toRetryAfter(STARTING_RETRY_MS));
      const message = 'The gateway is starting: its configuration is not in force yet. Try again in a second.';
      writeRefusal(response, 503, 'store_unavailable', message);
    } else if (isMcp) deps.handleMcp(request, response);
    else void serveRoutes(request as Parameters<typeof serveRoutes>[0], response as Parameters<typeof serveRoutes>[1]);
  };
}

/**
 * Hono makes no Request for a Host that no URL can have, such as `127.0.0.1:99999`. Nothing else ends here: the routes have
 * `onError`.
 */
function refuseHost(): Response {
  const message = 'The Host header is not that of a URL. Send the name or address as the URL has it.';
  const headers = { 'content-type': 'application/json' };
  return new Response(refusalBody(400, 'invalid_request', message), { status: 400, headers });
}

/** Why this listener serves nothing at the target, where that is known without looking at the routes. */
function findNothing(url: string, isMcp: boolean, serves: RequestHandlerDeps['serves']): string | undefined {
  if (isMcp) return serves === 'admin' ? 'Agents connect to the main listener.' : undefined;
  if (serves === 'mcp') return 'Only /mcp is served here.';
  const [path = ''] = url.split('?', 1);
  return PLAIN_PATH.test(path) ? undefined : describeNothingAt(path);
}

function isRest(url: string): boolean {
  return url.startsWith('/v1/');
}

function describeNothingAt(path: string): string {
  return `Nothing is served at ${shown(path)}. Agents connect to /mcp.`;
}

/** Metrics and details name services and tools: an API key, or a peer on this machine. */
function requireOperator(context: Context<Bindings>, authenticator: Authenticator): void {
  const { incoming } = context.env;
  if (incoming !== undefined && isLocalPeer(incoming as EdgeRequest)) return;
  const operator = authenticator.authenticateApiKey(context.req.header('authorization'));
  if (operator.kind === 'denied') throw new GatewayError(operator.code, operator.message);
}

function toResponse(context: Context<Bindings>, error: GatewayError): Response {
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (error.code === 'unauthenticated') {
    headers['www-authenticate'] = 'Bearer';
    // HTTP/2 has no such header (RFC 9113 §8.2.2).
    if (context.env.incoming?.httpVersionMajor === 1) headers.connection = 'close';
  }
  if (error.retryAfterMs !== undefined) headers['retry-after'] = toRetryAfter(error.retryAfterMs);
  const { status } = ERRORS[error.code];
  return context.body(JSON.stringify(problemBody(error)), status as 400, headers);
}

/** A path as it may stand in an error; a token that was put into it by mistake is not repeated to a log. */
function shown(path: string): string {
  return path
    .replace(/swb_(agt|key)_\w+/g, 'swb_$1_...')
    .slice(0, 100)
    .replace(/[^\x21-\x7e]/g, '?');
}
