// A recording upstream whose answers to `tools/list` a test writes itself, page by page.

import { type RecordingUpstream, type RecordingUpstreamOptions, startRecordingUpstream } from './recording-upstream.ts';

/** Raw JSON of the result of `tools/list` for a cursor; `undefined` leaves the request unanswered. */
export type OnList = (cursor: string | undefined) => string | undefined | Promise<string | undefined>;

export interface ListingUpstream {
  readonly upstream: RecordingUpstream;
  /** The cursors asked for, `undefined` for each beginning. */
  readonly asked: readonly (string | undefined)[];
}

/** `options.tools` are what can be called, as ever. */
export async function startListingUpstream(
  options: Omit<RecordingUpstreamOptions, 'intercept'>,
  onList: OnList,
): Promise<ListingUpstream> {
  const asked: (string | undefined)[] = [];
  const upstream = await startRecordingUpstream({
    ...options,
    intercept: ({ body }, response) => {
      if (!body.includes('"method":"tools/list"')) return false;
      const { id, params } = JSON.parse(body.toString());
      asked.push(params.cursor);
      void Promise.resolve(onList(params.cursor)).then((result) => {
        if (result === undefined) return;
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`{"result":${result},"jsonrpc":"2.0","id":${JSON.stringify(id)}}`);
      });
      return true;
    },
  });
  return { upstream, asked };
}

/** Raw JSON of a tool without arguments. */
export function toolNamed(name: string, members = ''): string {
  return `{"name":${JSON.stringify(name)},"inputSchema":{"type":"object"}${members}}`;
}
