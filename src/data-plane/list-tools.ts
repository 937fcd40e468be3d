// `tools/list`: one page, from bytes serialised once per catalog and spelling, with the client's id set in front.

import { type Catalog, troubledUpstreams } from '../catalog/catalog.ts';
import type { NameStyle } from '../domain/principal.ts';
import { IMPLEMENTATION } from '../domain/version.ts';
import type { Era } from '../protocol/era.ts';

/** The whole JSON-RPC answer. `id` is raw JSON. */
export function toolsListAnswer(catalog: Catalog, id: Buffer, era: Era, style: NameStyle): Buffer {
  const result = catalog.toolsResult(era, style, troubledUpstreams(catalog), IMPLEMENTATION);
  return Buffer.concat([ANSWER_HEAD, id, RESULT_KEY, ...result, ANSWER_END]);
}

const ANSWER_HEAD = Buffer.from('{"jsonrpc":"2.0","id":');
const RESULT_KEY = Buffer.from(',"result":');
const ANSWER_END = Buffer.from('}');
