// Where a chain begins since retention has deleted what came before: a signed note beside the segments. Without it a
// chain whose first segments are gone is one that somebody has cut.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, replaceFile } from './files.ts';
import { type CallLogKeys, type ChainHead, isMac, macOf } from './format.ts';

const NOTE = /^\{"chain":"([0-9a-f]{16})","after_batch":(\d{1,15}),"seal":"([0-9a-f]{64})","mac":"([0-9a-f]{64})"\}\n$/;

export function notePath(directory: string, chain: string): string {
  return join(directory, `calls-${chain}.retained.json`);
}

/** The last batch that retention has deleted; `undefined` when it has deleted none, `invalid` for a note that is not ours. */
export function readNote(directory: string, chain: string, keys: CallLogKeys): ChainHead | undefined | 'invalid' {
  let text: string;
  try {
    text = readFileSync(notePath(directory, chain), 'latin1');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const [, named, batch, seal, mac] = NOTE.exec(text) ?? [];
  if (named !== chain || batch === undefined || seal === undefined || mac === undefined) return 'invalid';
  return isMac(keys.notes, toBody(chain, Number(batch), seal), mac) ? { batch: Number(batch), mac: seal } : 'invalid';
}

export function writeNote(directory: string, chain: string, keys: CallLogKeys, last: ChainHead): void {
  const body = toBody(chain, last.batch, last.mac);
  replaceFile(notePath(directory, chain), `${body},"mac":"${macOf(keys.notes, body)}"}\n`);
}

function toBody(chain: string, batch: number, seal: string): string {
  return `{"chain":"${chain}","after_batch":${batch},"seal":"${seal}"`;
}
