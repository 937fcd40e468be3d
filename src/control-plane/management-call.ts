// An operation as a tool: its schemas for a model to read, and a call of it from arguments to a result.

import * as z from 'zod';
import { GatewayError, type Problem } from '../domain/errors.ts';
import { nearest } from '../domain/nearest.ts';
import type { Operator } from '../identity/authenticate.ts';
import { toSchema } from './json-schema.ts';
import type { Confirmation, Offer } from './management-tools.ts';
import { type Operation, warningsView } from './operation.ts';
import type { Perform, Request } from './perform.ts';
import { readInput } from './read-input.ts';

export interface Tool {
  readonly offer: Offer;
  readonly operation: Operation;
  /** As `tools/list` shows it. */
  readonly definition: {
    readonly name: string;
    readonly title: string;
    readonly description: string;
    readonly inputSchema: ObjectSchema;
    readonly outputSchema: ObjectSchema;
    readonly annotations: Offer['annotations'];
  };
}

type ObjectSchema = { readonly type: 'object' } & Readonly<Record<string, unknown>>;

type Arguments = Readonly<Record<string, unknown>>;

export function toTool(operation: Operation, offer: Offer): Tool {
  const { name, title, description, annotations } = offer;
  const input = z.strictObject({
    ...ownArguments(offer).shape,
    ...operation.query.shape,
    ...operation.body.shape,
  });
  return {
    offer,
    operation,
    definition: {
      name,
      title,
      description,
      inputSchema: toObjectSchema(input, 'input'),
      outputSchema: toObjectSchema(operation.view.extend({ warnings: warningsView }), 'output'),
      annotations: { ...annotations },
    },
  };
}

/** Throws what `perform` throws, in the words of tools, and `invalid_argument` for arguments that are not the tool's. */
export async function callTool(
  perform: Perform,
  { offer, operation }: Tool,
  operator: Operator,
  given: Arguments,
): Promise<Readonly<Record<string, unknown>>> {
  const request = readArguments(offer, operation, operator, given);
  try {
    const { view } = await perform(operation, request);
    return view;
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'revision_mismatch' || !offer.confirms) throw error;
    throw new GatewayError('revision_mismatch', `${error.message} ${howToConfirm(offer.confirms)}`);
  }
}

function ownArguments({ object, confirms }: Offer) {
  const shape: Record<string, z.ZodType> = {};
  if (object !== undefined) shape[object] = z.string().min(1, 'is empty: give a name or an id').describe('Id or name.');
  if (confirms !== undefined) {
    const what = `The \`${confirms.field}\` that ${confirms.read} showed just before; nothing is done when it is another by now.`;
    shape.confirm_revision = z.int().min(0).describe(what);
  }
  return z.strictObject(shape);
}

function readArguments(offer: Offer, operation: Operation, operator: Operator, given: Arguments): Request {
  const own = ownArguments(offer);
  const names = (schema: z.ZodObject) => Object.keys(schema.shape);
  requireKnown(given, [...names(own), ...names(operation.query), ...names(operation.body)]);
  if (offer.confirms !== undefined && (given.confirm_revision ?? null) === null) {
    refuse([{ path: 'confirm_revision', message: `is missing. ${howToConfirm(offer.confirms)}` }]);
  }
  const { confirm_revision: confirmed, ...named } = readWhole(own, given);
  return {
    operator,
    id: offer.object === undefined ? '' : String(named[offer.object]),
    query: readWhole(operation.query, given),
    body: readWhole(operation.body, given),
    expected: typeof confirmed === 'number' ? [confirmed] : undefined,
  };
}

function howToConfirm({ read, field }: Confirmation): string {
  return `Nothing was changed. Call ${read} first, look at what it shows, and give its ${field} as confirm_revision.`;
}

/** Refused and not ignored: what a model has misspelt, such as a narrower allow-list, it believes to be in force. */
function requireKnown(given: Arguments, known: readonly string[]): void {
  const unknown = Object.keys(given).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  refuse(
    unknown.map((path) => {
      const suggestion = nearest(path, known);
      const remedy =
        suggestion === undefined ? `there are: ${known.join(', ') || 'none'}` : `did you mean ${suggestion}?`;
      return { path, message: `is not an argument of this tool; ${remedy}` };
    }),
  );
}

/** Those of the arguments that are the schema's. Throws `invalid_argument`, for fields inside them that are unknown, too. */
function readWhole<S extends z.ZodObject>(schema: S, given: Arguments): z.output<S> {
  const mine = Object.fromEntries(Object.entries(given).filter(([key]) => Object.hasOwn(schema.shape, key)));
  const { value, warnings } = readInput(schema, mine);
  if (warnings.length > 0) refuse(warnings.map(({ path }) => ({ path, message: 'is not a field of this argument' })));
  return value;
}

function refuse(problems: readonly Problem[]): never {
  const message = problems.map(({ path, message }) => `${path.slice(0, 64)} ${message}`).join('; ');
  throw new GatewayError('invalid_argument', /[.?]$/.test(message) ? message : `${message}.`, { problems });
}

function toObjectSchema(schema: z.ZodObject, io: 'input' | 'output'): ObjectSchema {
  return { ...toSchema(schema, io), type: 'object' };
}
