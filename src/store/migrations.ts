// The schema, as the list of steps that led to it. The list is append-only: a step that has run somewhere is never edited.

import type { DatabaseSync } from 'node:sqlite';
import { GatewayError } from '../domain/errors.ts';

/** Version n of the schema is what the first n steps made. Every table but `schema_version` and `pins`, which belong to the deployment, has `account_id`. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE accounts (
    account_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE mcp_configs (
    account_id TEXT NOT NULL REFERENCES accounts,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    allowed_tools TEXT NOT NULL,
    auth_mechanism TEXT NOT NULL,
    custom_headers TEXT NOT NULL,
    description TEXT,
    revision INTEGER NOT NULL,
    managed_by TEXT NOT NULL,
    create_time_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, id),
    UNIQUE (account_id, name)
  ) STRICT;
  CREATE TABLE secrets (
    account_id TEXT NOT NULL REFERENCES accounts,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    sealed TEXT NOT NULL,
    managed_by TEXT NOT NULL,
    create_time_ms INTEGER NOT NULL,
    update_time_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, id),
    UNIQUE (account_id, name)
  ) STRICT;
  -- A hash is unique in the deployment: a value that named two principals would let one act as the other.
  CREATE TABLE tokens (
    account_id TEXT NOT NULL REFERENCES accounts,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    name_style TEXT NOT NULL,
    grants TEXT NOT NULL,
    managed_by TEXT NOT NULL,
    create_time_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    revoked_at_ms INTEGER,
    PRIMARY KEY (account_id, id)
  ) STRICT;
  CREATE TABLE api_keys (
    account_id TEXT NOT NULL REFERENCES accounts,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    create_time_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER,
    PRIMARY KEY (account_id, id)
  ) STRICT;
  CREATE TABLE tool_lists (
    account_id TEXT NOT NULL REFERENCES accounts,
    key TEXT NOT NULL,
    tools BLOB NOT NULL,
    fetched_at_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, key)
  ) STRICT;
  CREATE TABLE pins (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT;
  `,
  // How an upstream is reached, as JSON: by default as every upstream was before.
  `
  ALTER TABLE mcp_configs ADD COLUMN tls TEXT NOT NULL DEFAULT 'null';
  ALTER TABLE mcp_configs ADD COLUMN proxy TEXT NOT NULL DEFAULT 'null';
  ALTER TABLE mcp_configs ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
  `,
];

/**
 * Brings the database to the newest schema, inside the caller's transaction, so that two processes that start
 * together migrate once. A newer schema than this build knows is refused before anything is written.
 */
export function migrate(database: DatabaseSync, file: string): void {
  const version = readSchemaVersion(database);
  if (version > MIGRATIONS.length) {
    throw new GatewayError(
      'store_unavailable',
      `The store ${file} was written by a newer Switchboard (schema ${version}, this one knows ${MIGRATIONS.length}). ` +
        'Start the newer version, or restore a backup.',
    );
  }
  if (version === MIGRATIONS.length) return;
  for (const step of MIGRATIONS.slice(version)) database.exec(step);
  database.exec('DELETE FROM schema_version');
  database.prepare('INSERT INTO schema_version (version) VALUES (?)').run(MIGRATIONS.length);
}

function readSchemaVersion(database: DatabaseSync): number {
  database.exec('CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT');
  return Number(database.prepare('SELECT version FROM schema_version').get()?.version ?? 0);
}
