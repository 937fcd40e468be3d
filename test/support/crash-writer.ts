// The program of `crash-storm.ts`: writes to the store whose URL is its argument until it is killed. A line tells of every
// write that was acknowledged: its slot and its number.

import { flushCompileCache } from 'node:module';
import { COMMAND } from '../../src/control-plane/change.ts';
import { toStoredRevision } from '../../src/control-plane/revision-chain.ts';
import { NO_EFFECT } from '../../src/domain/revision.ts';
import { openStore } from '../../src/store/open-store.ts';
import { DEFAULT_ACCOUNT, type StoredRevision, type Writer } from '../../src/store/store.ts';
import { aConfig, aDevbox, aReply, aSecret } from './store-objects.ts';
import { STORM_KEY } from './storm-key.ts';

const SLOTS = 8;
const SLOTS_OF_EACH = 4;

const store = await openStore(process.argv[2] ?? '');
process.stdout.write('open\n');
// A process that is killed would leave nothing to the next one.
flushCompileCache();
await Promise.all(Array.from({ length: SLOTS / SLOTS_OF_EACH }, (_, writer) => writeForEver(writer * SLOTS_OF_EACH)));

async function writeForEver(firstSlot: number): Promise<void> {
  for (let i = 0; ; i++) {
    const slot = firstSlot + (i % SLOTS_OF_EACH);
    const number = await store.write(DEFAULT_ACCOUNT, (writer) => writeSlot(writer, slot));
    // Pipes are written to before the call returns, so that nothing that was said is lost with the process.
    process.stdout.write(`${slot} ${number}\n`);
  }
}

function aChange(last: StoredRevision | undefined, slot: number): StoredRevision {
  return toStoredRevision(STORM_KEY, DEFAULT_ACCOUNT, last, {
    timeMs: 1,
    actor: COMMAND,
    requestId: null,
    action: 'update',
    objectKind: 'mcp_config',
    objectId: `slot_${slot}`,
    objectName: '',
    revision: 1,
    effect: NO_EFFECT,
    before: null,
    after: {},
  });
}

/** Objects of every kind that all carry the number of the write. */
async function writeSlot(writer: Writer, slot: number): Promise<number> {
  const last = await writer.lastRevision();
  const number = (last?.sequence ?? 0) + 1;
  await writer.putSecret(aSecret(`s${slot}`, { version: number }));
  await writer.putMcpConfig(aConfig(`c${slot}`, { revision: number }));
  await writer.putDevbox(aDevbox(`dbx_${slot}`, { createTimeMs: number }));
  await writer.appendRevision(aChange(last, slot));
  await writer.putReply(aReply(`${slot} ${number}`, { expiresAtMs: number }), number - 1);
  return number;
}
