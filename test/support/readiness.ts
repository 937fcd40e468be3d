// What an operator reads of a gateway's upstreams: the detail of `/readyz`.

import assert from 'node:assert/strict';
import { eventually } from './eventually.ts';
import { send } from './mcp-http.ts';

export interface UpstreamDetail {
  readonly service: string;
  readonly state: string;
  readonly circuit?: string;
  readonly tools: number | null;
  readonly last_failure?: FailureDetail;
}

export interface FailureDetail {
  readonly reason: string;
  readonly message: string;
  readonly stage?: string;
  readonly at: string;
  readonly since: string;
}

/** Somebody on this machine needs no key for it. */
export async function upstreamDetails({ url }: { readonly url: string }): Promise<readonly UpstreamDetail[]> {
  return (await send(`${url}/readyz?detail`, { method: 'GET' })).message.upstreams as UpstreamDetail[];
}

/** The failure of the only upstream, once there is one; fails when `hidden` shows anywhere. */
export async function failureOf(
  { url, apiKey }: { readonly url: string; readonly apiKey: string },
  hidden: RegExp,
): Promise<FailureDetail> {
  return eventually(async () => {
    const headers = { authorization: `Bearer ${apiKey}` };
    const { message } = await send(`${url}/readyz?detail`, { method: 'GET', headers });
    const upstreams = message.upstreams as UpstreamDetail[];
    assert.doesNotMatch(JSON.stringify(upstreams), hidden);
    return upstreams[0]?.last_failure;
  });
}
