// `switchboard audit verify`: whether the audit is as the gateway wrote it. Works on the files and the store themselves,
// beside a running gateway or without one.

import { type Checkpoint, readCheckpoint } from '../audit-log/checkpoint.ts';
import { type CallLogKeys, deriveCallLogKeys } from '../audit-log/format.ts';
import { type Finding, verifyCallLog } from '../audit-log/verify.ts';
import { verifyChanges } from '../control-plane/verify-changes.ts';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import { openVaulted } from '../gateway/vaulted.ts';
import type { Store } from '../store/store.ts';
import { masterKeySource } from './settings-or-exit.ts';
import { requireStoreSettings } from './with-store.ts';

interface VerifyOptions {
  readonly config?: string;
  readonly checkpoint?: string;
}

/** What was looked at in one part of the audit, and what is wrong there. */
interface Verified {
  readonly summary: string;
  readonly findings: readonly Finding[];
  /** Worth knowing, and no sign of a forgery. */
  readonly notes: readonly string[];
}

/** Prints what was checked, and every finding on a line of stderr; the exit code is 1 when there is one. */
export async function verifyAudit(options: VerifyOptions): Promise<void> {
  const settings = await requireStoreSettings(options.config);
  const { store, keys } = await openVaulted(settings, masterKeySource());
  try {
    const callKeys = deriveCallLogKeys(keys.audit);
    // Before everything it speaks of: what is written meanwhile is newer.
    const checkpoint = openCheckpoint(options.checkpoint ?? settings.audit.checkpointFile, callKeys);
    const parts = [
      verifyCalls(settings.audit.directory, callKeys, checkpoint),
      await verifyAllChanges(store, keys.audit, checkpoint),
    ];
    print(parts, checkpoint !== undefined);
  } finally {
    await store.close();
  }
}

function openCheckpoint(file: string | undefined, keys: CallLogKeys): Checkpoint | undefined {
  if (file === undefined) return undefined;
  const checkpoint = readCheckpoint(file, keys);
  if (checkpoint !== undefined) return checkpoint;
  throw new GatewayError(
    'invalid_argument',
    `There is no checkpoint ${file}. A gateway that was started with audit.checkpoint_file writes it at once: look for who has deleted it, or give --checkpoint.`,
  );
}

function verifyCalls(directory: string, keys: CallLogKeys, checkpoint: Checkpoint | undefined): Verified {
  const { chains, segments, batches, records, findings, notes } = verifyCallLog(directory, keys, checkpoint);
  const summary = `calls: ${records} records in ${batches} batches, ${segments} files and ${chains} chains in ${directory}`;
  return { summary, findings, notes };
}

async function verifyAllChanges(store: Store, key: Buffer, checkpoint: Checkpoint | undefined): Promise<Verified> {
  const findings: Finding[] = [];
  let count = 0;
  const accounts = await store.accounts();
  // An account that the checkpoint knows and the store does not is as much cut off as its changes.
  const ids = new Set([...accounts.map(({ id }) => id), ...Object.keys(checkpoint?.changes ?? {})] as AccountId[]);
  for (const id of ids) {
    const { revisions, problems } = await verifyChanges(store, key, id, checkpoint?.changes[id]);
    count += revisions;
    findings.push(...problems.map((message) => ({ file: `changes of ${id}:`, line: null, message })));
  }
  return { summary: `changes: ${count} revisions of ${ids.size} accounts in the store`, findings, notes: [] };
}

function print(parts: readonly Verified[], hasCheckpoint: boolean): void {
  const findings = parts.flatMap((part) => part.findings);
  for (const { summary } of parts) process.stdout.write(`${summary}\n`);
  for (const note of parts.flatMap((part) => part.notes)) process.stderr.write(`note: ${note}\n`);
  for (const { file, line, message } of findings) {
    process.stderr.write(`${file}${line === null ? '' : `:${line}`} ${message}\n`);
  }
  if (findings.length > 0) {
    process.stdout.write(`${findings.length} findings: the audit is not as it was written.\n`);
    process.exitCode = 1;
    return;
  }
  const scope = hasCheckpoint
    ? 'up to the checkpoint and on'
    : 'whether its end was cut off, only a checkpoint can say';
  process.stdout.write(`The audit is as it was written; ${scope}.\n`);
}
