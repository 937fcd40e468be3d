// The tables of a PostgreSQL store as plain rows.

import { Client } from 'pg';
import { toPostgres } from './migrations.ts';
import { parsePostgresUrl } from './postgres-address.ts';
import { explained } from './postgres-errors.ts';
import { readVersion, SCHEMA_TIMEOUTS, withSchemaLock } from './postgres-schema.ts';
import { toStoredText } from './postgres-text.ts';
import type { RawSession, RawTables, Row } from './raw-tables.ts';

/** Rows held in memory at once; a tool list may be of some megabytes. */
const ROWS_AT_ONCE = 100;

export function openPostgresTables(url: string): RawTables {
  const address = parsePostgresUrl(url);
  const { config, label } = address;
  return {
    rewrite: (work) => withSchemaLock(address, (client) => work(toSession(client, label))),
    read: async (work) => {
      const client = new Client({ ...config, ...SCHEMA_TIMEOUTS });
      // Its loss fails the query under way as well; as an event without a listener it would end the process.
      client.on('error', () => {});
      try {
        await explained(label, client.connect());
        await explained(label, client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'));
        return await work(toSession(client, label));
      } finally {
        await client.end();
      }
    },
  };
}

function toSession(client: Client, label: string): RawSession {
  const query = (sql: string, values: unknown[] = []) => explained(label, client.query<Row>(sql, values));
  return {
    version: () => explained(label, readVersion(client)),
    async *rows(table) {
      await query(`DECLARE table_rows CURSOR FOR SELECT * FROM "${table}"`);
      for (;;) {
        const { rows } = await query(`FETCH ${ROWS_AT_ONCE} FROM table_rows`);
        if (rows.length === 0) break;
        yield* rows;
      }
      await query('CLOSE table_rows');
    },
    async insert(table, row) {
      const columns = Object.keys(row).map((column) => `"${column}"`);
      const places = columns.map((_, index) => `$${index + 1}`);
      const values = Object.values(row).map(toStoredText);
      await query(`INSERT INTO "${table}" (${columns}) VALUES (${places})`, values);
    },
    async execute(statements) {
      await query(toPostgres(statements));
    },
  };
}
