// The published JSON Schemas of MCP revisions, without their descriptions.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';

export type SchemaRevision = '2025-06-18' | '2025-11-25' | '2026-07-28';

const compiled = new Map<SchemaRevision, Ajv | Ajv2020>();

/** Fails unless the value is of the type of that name in the revision. */
export function assertIsMcp(revision: SchemaRevision, type: string, value: unknown): void {
  const validate = validatorOf(revision, type);
  assert.ok(validate(value), `${revision} ${type}: ${JSON.stringify(validate.errors)} in ${JSON.stringify(value)}`);
}

function validatorOf(revision: SchemaRevision, type: string): ValidateFunction {
  const ajv = compiled.get(revision) ?? compile(revision);
  const validate = ajv.getSchema(`mcp#/${revision === '2025-06-18' ? 'definitions' : '$defs'}/${type}`);
  assert.ok(validate, `${revision} has no ${type}`);
  return validate;
}

function compile(revision: SchemaRevision): Ajv | Ajv2020 {
  const file = new URL(`../corpus/mcp-schema/${revision}.json`, import.meta.url);
  const options = { strict: false, allErrors: true, validateFormats: false } as const;
  const ajv = revision === '2025-06-18' ? new Ajv(options) : new Ajv2020(options);
  ajv.addSchema(JSON.parse(readFileSync(file, 'utf8')) as object, 'mcp');
  compiled.set(revision, ajv);
  return ajv;
}
