// The one route table. The exact path `/mcp` goes from the listener straight to the endpoint, so that Hono builds no
// Request for it; every other path is answered here.

import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { METHOD_NAME_ALL } from 'hono/router';
import type { ClaimDoor } from '../control-plane/claim-door.ts';
import type { ManagementDoor } from '../control-plane/management-mcp.ts';
import { type RestDoor, takePermit } from '../control-plane/rest.ts';
import { ERRORS, GatewayError, toProblemBody, toRetryAfter } from '../domain/errors.ts';
import { isConfigName } from '../domain/mcp-config.ts';
import type { Authenticator, Operator } from '../identity/authenticate.ts';
import type { RateLimiter } from '../rate-limiter.ts';
import { DEFAULT_ACCOUNT } from '../store/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type FamilySnapshot, METRICS_CONTENT_TYPE, renderMetrics } from '../telemetry/metrics-snapshot.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { ServeCors } from './cors.ts';
import { type FindOriginProblem, isLocalPeer } from './origin.ts';
import { writeRefusal } from './refusal.ts';
import type { EdgeRequest, OnRequest } from './request-gate.ts';

export interface AppDeps {
  readonly rest: RestDoor;
  readonly manage: ManagementDoor;
  readonly claim: ClaimDoor;
  /** Requests of one API key, through any door. */
  readonly limiter: RateLimiter;
  readonly authenticator: Authenticator;
  readonly log: Logger;
  readonly configSchema: object;
  readonly openApi: () => object;
  /** Of all processes on the port together. */
  readonly readMetrics: () => Promise<readonly FamilySnapshot[]>;
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
  app.get('/metrics', async (context) => {
    requireOperator(context, deps.authenticator);
    return context.body(renderMetrics(await deps.readMetrics()), 200, { 'content-type': METRICS_CONTENT_TYPE });
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
  app.all('/admin/mcp', async (context) => {
    const operator = authenticate(context, deps.authenticator);
    takePermit(deps.limiter, operator, (name, value) => context.header(name, value));
    const { status, headers, body } = await deps.manage(context.req.raw, operator);
    return context.newResponse(body, status as 200, Object.fromEntries(headers));
  });
  app.on(['GET', 'POST'], '/claim/:code', (context) => deps.claim(context.req.raw, context.req.param('code')));
  app.notFound((context) => {
    const { method, path } = context.req;
    const methods = methodsAt(app, path);
    if (methods.length === 0) return toResponse(context, new GatewayError('not_found', describeNothingAt(path)));
    // The path is not repeated: that of a claim holds its code.
    const message = `${shown(method)} is not a method of this path. Send ${methods.join(' or ')}.`;
    return toResponse(context, new GatewayError('method_not_allowed', message), { allow: methods.join(', ') });
  });
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
  /** What this listener serves: with an admin listener, `/mcp` and claim links are on the main one, and nothing else. */
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
    const isClaim = url.startsWith('/claim/');
    // A claim link is opened from wherever it was written; its page shows nothing but a button, and to nobody's frame.
    const isLinked = isClaim && request.method === 'GET';
    const problem = isProbe ? undefined : deps.findOriginProblem(request, isLinked);
    if (problem !== undefined) {
      deps.telemetry.httpRefusals.labels('forbidden').add();
      writeRefusal(response, 403, 'forbidden', problem);
      return;
    }
    const isMcp = url === '/mcp' || url.startsWith('/mcp?') || isMcpView(url);
    const nothing = findNothing(url, isMcp, isClaim, deps.serves);
    if (nothing !== undefined) {
      writeRefusal(response, 404, 'not_found', nothing);
      return;
    }
    const { origin } = request.headers;
    // Not for metrics and details, which need no key from a peer on this machine: its browser is one.
    if (origin !== undefined && (isMcp || isForOperators(url)) && deps.serveCors(request, response, origin)) return;
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
  return new Response(toProblemBody(400, 'invalid_request', message), { status: 400, headers });
}

/** Why this listener serves nothing at the target, where that is known without looking at the routes. */
function findNothing(
  url: string,
  isMcp: boolean,
  isClaim: boolean,
  serves: RequestHandlerDeps['serves'],
): string | undefined {
  if (isMcp) return serves === 'admin' ? 'Agents connect to the main listener.' : undefined;
  // Whoever is to get a token may have no way to the admin listener.
  if (serves === 'mcp' && !isClaim) return 'Only /mcp is served here.';
  const [path = ''] = url.split('?', 1);
  return PLAIN_PATH.test(path) ? undefined : describeNothingAt(path);
}

/** One config by itself. What no config can be called is no such path. */
function isMcpView(url: string): boolean {
  if (!url.startsWith('/mcp/')) return false;
  const [name = ''] = url.slice('/mcp/'.length).split('?', 1);
  return isConfigName(name);
}

function isForOperators(url: string): boolean {
  return url.startsWith('/v1/') || /^\/admin\/mcp(?:\?|$)/.test(url);
}

function describeNothingAt(path: string): string {
  return `Nothing is served at ${shown(path)}. Agents connect to /mcp.`;
}

/** Those that the table of routes has for a path; HEAD is answered wherever GET is. */
function methodsAt({ router, routes }: Hono<Bindings>, path: string): string[] {
  // What is for all methods stands in front of routes, as authentication does, and matches with every one of them.
  const known = [...new Set(routes.map(({ method }) => method))].filter((each) => each !== METHOD_NAME_ALL);
  const methods = known.filter((each) => router.match(each, path)[0].some(([[, { method }]]) => method === each));
  return methods.flatMap((each) => (each === 'GET' ? ['GET', 'HEAD'] : each));
}

/** Metrics and details name the services and tools of all accounts: a key of the first one, or a peer on this machine. */
function requireOperator(context: Context<Bindings>, authenticator: Authenticator): void {
  const { incoming } = context.env;
  if (incoming !== undefined && isLocalPeer(incoming as EdgeRequest)) return;
  if (authenticate(context, authenticator).accountId === DEFAULT_ACCOUNT) return;
  throw new GatewayError(
    'forbidden',
    'This is about all accounts, and the API key is of one of them. Use an API key of the default account.',
  );
}

function authenticate(context: Context<Bindings>, authenticator: Authenticator): Operator {
  const operator = authenticator.authenticateApiKey(context.req.header('authorization'));
  if (operator.kind === 'denied') throw new GatewayError(operator.code, operator.message);
  return operator;
}

function toResponse(
  context: Context<Bindings>,
  error: GatewayError,
  more: Readonly<Record<string, string>> = {},
): Response {
  const headers: Record<string, string> = { 'content-type': 'application/problem+json', ...more };
  if (error.code === 'unauthenticated') {
    headers['www-authenticate'] = 'Bearer';
    // HTTP/2 has no such header (RFC 9113 §8.2.2).
    if (context.env.incoming?.httpVersionMajor === 1) headers.connection = 'close';
  }
  const { status } = ERRORS[error.code];
  if (error.retryAfterMs !== undefined) {
    headers['retry-after'] = toRetryAfter(error.retryAfterMs);
    headers['retry-after-ms'] = String(error.retryAfterMs);
  }
  // Runloop's clients try what may be transient five times, over half a minute, unless they are told.
  if (status === 429 || status >= 500) headers['x-should-retry'] = String(error.retryAfterMs !== undefined);
  return context.body(toProblemBody(error.status, error.code, error.message, error.problems), status as 400, headers);
}

/** A path as it may stand in an error; a token that was put into it by mistake is not repeated to a log. */
function shown(path: string): string {
  return path
    .replace(/swb_(agt|key)_\w+/g, 'swb_$1_...')
    .slice(0, 100)
    .replace(/[^\x21-\x7e]/g, '?');
}
