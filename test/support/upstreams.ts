// Upstreams without a gateway around them.

import { Upstream } from '../../src/upstream/upstream.ts';

export interface UpstreamSetup {
  readonly key?: string;
  readonly service?: string;
  readonly connections?: number;
  /** Of an answer; connecting has two seconds. */
  readonly timeoutMs?: number;
  readonly sessionIdleMs?: number;
  readonly now?: () => number;
}

/** Where nobody listens. */
export const NOWHERE = 'http://127.0.0.1:1/mcp';

/** Nothing is sent to `url` before it is used. To be closed by the test, if it is. */
export function anUpstream(url: string, setup: UpstreamSetup = {}): Upstream {
  const { key = 'k', service = 'any', connections = 4, timeoutMs = 2_000, sessionIdleMs, now = Date.now } = setup;
  const timeouts = { connectTimeoutMs: 2_000, headersTimeoutMs: timeoutMs, idleTimeoutMs: timeoutMs };
  return new Upstream({
    key,
    service,
    endpoint: new URL(url),
    policy: { allowHttp: true, allowCidrs: ['127.0.0.0/8'] },
    credentialHeaders: [],
    limits: { connections, ...timeouts, ...(sessionIdleMs === undefined ? {} : { sessionIdleMs }) },
    clientInfo: '{"name":"t","version":"1"}',
    now,
    onFailure: () => {},
  });
}
