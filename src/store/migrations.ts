// The schema, as the list of steps that led to it. The list is append-only: a step that has run somewhere is never edited.

import type { DatabaseSync } from 'node:sqlite';
import { GatewayError } from '../domain/errors.ts';

/** Version n of the schema is what the first n steps made, written as SQLite reads it and in words `toPostgres` knows. Every table but `schema_version` and `pins`, which belong to the deployment, has `account_id`. */
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
  // Rotation with overlap, devboxes, the record of every write, and answers that are given again.
  `
  ALTER TABLE secrets ADD COLUMN origins TEXT NOT NULL DEFAULT '[]';
  ALTER TABLE tokens ADD COLUMN previous_hash TEXT;
  ALTER TABLE tokens ADD COLUMN previous_expires_at_ms INTEGER;
  CREATE INDEX tokens_by_previous_hash ON tokens (previous_hash);
  ALTER TABLE tokens ADD COLUMN devbox_id TEXT;
  ALTER TABLE tokens ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
  CREATE TABLE devboxes (
    account_id TEXT NOT NULL REFERENCES accounts,
    id TEXT NOT NULL,
    name TEXT,
    mounts TEXT NOT NULL,
    metadata TEXT NOT NULL,
    create_time_ms INTEGER NOT NULL,
    end_time_ms INTEGER,
    PRIMARY KEY (account_id, id)
  ) STRICT;
  CREATE INDEX devboxes_by_time ON devboxes (account_id, create_time_ms, id);
  CREATE TABLE revisions (
    account_id TEXT NOT NULL REFERENCES accounts,
    sequence INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    object_revision INTEGER NOT NULL,
    content TEXT NOT NULL,
    mac TEXT NOT NULL,
    PRIMARY KEY (account_id, sequence)
  ) STRICT;
  CREATE INDEX revisions_of_object ON revisions (account_id, object_id, sequence);
  CREATE TABLE replies (
    account_id TEXT NOT NULL REFERENCES accounts,
    key TEXT NOT NULL,
    sealed TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, key)
  ) STRICT;
  CREATE INDEX replies_by_expiry ON replies (account_id, expires_at_ms);
  `,
  // Prompts and resources, of which a config allowed none before, and upstreams that are processes.
  `
  ALTER TABLE mcp_configs ADD COLUMN allowed_prompts TEXT NOT NULL DEFAULT '[]';
  ALTER TABLE mcp_configs ADD COLUMN allowed_resources TEXT NOT NULL DEFAULT '[]';
  ALTER TABLE mcp_configs ADD COLUMN stdio TEXT NOT NULL DEFAULT 'null';
  `,
];

/** Where the version is kept; the table has one row, or none before the first step. */
export const SCHEMA_VERSION_TABLE = 'CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT';

/** A step as PostgreSQL reads it. Text is ordered by its bytes there, too, whatever the language of the database is. */
export function toPostgres(step: string): string {
  return step
    .replaceAll(/\bINTEGER\b/g, 'BIGINT')
    .replaceAll(/\bBLOB\b/g, 'BYTEA')
    .replaceAll(/\bTEXT\b/g, 'TEXT COLLATE "C"')
    .replaceAll(/\) STRICT\b/g, ')');
}

/**
 * The steps that a store at `version` still lacks. Throws `store_unavailable` for one that is newer than this build;
 * `store` names it in the message.
 */
export function stepsAfter(version: number, store: string): readonly string[] {
  if (version <= MIGRATIONS.length) return MIGRATIONS.slice(version);
  throw new GatewayError(
    'store_unavailable',
    `The store ${store} was written by a newer Switchboard (schema ${version}, this one knows ${MIGRATIONS.length}). ` +
      'Start the newer version, or restore a backup.',
  );
}

/** The tables of a schema but `schema_version`, each after those that it refers to. */
export function tablesOf(version: number): readonly string[] {
  const steps = MIGRATIONS.slice(0, version).join('\n');
  return [...steps.matchAll(/CREATE TABLE (\w+)/g)].map(([, table]) => table ?? '');
}

/**
 * Brings a SQLite database to the newest schema, inside the caller's transaction, so that two processes that start
 * together migrate once. A newer schema than this build knows is refused before anything is written.
 */
export function migrate(database: DatabaseSync, file: string): void {
  const steps = stepsAfter(readSchemaVersion(database), file);
  if (steps.length === 0) return;
  for (const step of steps) database.exec(step);
  database.exec('DELETE FROM schema_version');
  database.prepare('INSERT INTO schema_version (version) VALUES (?)').run(MIGRATIONS.length);
}

/** 0 before the first step; the table of the version is made. */
export function readSchemaVersion(database: DatabaseSync): number {
  database.exec(SCHEMA_VERSION_TABLE);
  return Number(database.prepare('SELECT version FROM schema_version').get()?.version ?? 0);
}
