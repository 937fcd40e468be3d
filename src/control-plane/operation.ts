// One operation of the control plane: what it is called, who may, what it takes and gives, and the use case that does it.
// Every door (REST, its OpenAPI document, the management MCP server) is made from the same table of these.

import * as z from 'zod';
import type { Role } from '../domain/principal.ts';
import type { Operator } from '../identity/authenticate.ts';
import type { Change } from './change.ts';

export interface OperationInput<Query, Body> {
  readonly operator: Operator;
  /** The object named in the path, by id or name; empty where the path names none. */
  readonly id: string;
  readonly query: Query;
  readonly body: Body;
}

interface Described<Query extends z.ZodObject, Body extends z.ZodObject, View extends z.ZodObject> {
  /** `operationId` of the OpenAPI document. */
  readonly name: string;
  readonly tag: string;
  readonly summary: string;
  readonly method: 'get' | 'post';
  /** Below `/v1`; may hold `{id}`. */
  readonly path: string;
  /** The least role that may. */
  readonly role: Role;
  readonly query: Query;
  readonly body: Body;
  readonly view: View;
}

export interface ReadOperation<
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodObject = z.ZodObject,
  View extends z.ZodObject = z.ZodObject,
> extends Described<Query, Body, View> {
  readonly kind: 'read';
  run(input: OperationInput<z.output<Query>, z.output<Body>>): Promise<z.input<View>>;
}

/** Runs wholly inside one transaction, which is committed when it resolves. */
export interface WriteOperation<
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodObject = z.ZodObject,
  View extends z.ZodObject = z.ZodObject,
> extends Described<Query, Body, View> {
  readonly kind: 'write';
  run(input: OperationInput<z.output<Query>, z.output<Body>>, change: Change): Promise<z.input<View>>;
}

export type Operation = ReadOperation | WriteOperation;

export const NOTHING = z.strictObject({});

/** Beside what any operation answers. */
export const warningsView = z
  .array(z.object({ path: z.string(), message: z.string() }))
  .optional()
  .describe('What was accepted and probably not meant.');

/** Keeps the types of one operation together where it is written; the table it goes into forgets them. */
export function read<Query extends z.ZodObject, Body extends z.ZodObject, View extends z.ZodObject>(
  described: Omit<ReadOperation<Query, Body, View>, 'kind'>,
): Operation {
  // Only the door that parses with `query` and `body` calls `run`, with what they gave.
  return { kind: 'read', ...described } as unknown as Operation;
}

export function write<Query extends z.ZodObject, Body extends z.ZodObject, View extends z.ZodObject>(
  described: Omit<WriteOperation<Query, Body, View>, 'kind'>,
): Operation {
  return { kind: 'write', ...described } as unknown as Operation;
}

const RANK: Readonly<Record<Role, number>> = { viewer: 0, editor: 1, owner: 2 };

export function isAllowed(role: Role, least: Role): boolean {
  return RANK[role] >= RANK[least];
}
