// One tool of an upstream, as bytes and the edits that make it fit for clients. A malformed tool is repaired where that
// takes nothing from it, or left out and reported: SDK v1 clients refuse a whole list for one tool they cannot read.

import { isUpstreamToolName } from '../domain/tool-name.ts';
import { findMember, isObjectAt, JsonScanner, type Member, type Span, stringAt } from '../protocol/json-scan.ts';
import { type ParamHeader, readParamHeaders } from '../protocol/param-headers.ts';
import { type Edit, removeMembers } from '../protocol/splice.ts';
import { editProperties, isRequired, readLegacyOutput } from './legacy-schema.ts';
import { type Checks, isIcons, isPlainObject, isString, type Unusable } from './readable-members.ts';

export interface ListedTool {
  readonly name: string;
  /** Its object as the upstream sent it. */
  readonly bytes: Buffer;
  /** Where the name's value stands, quotes included. */
  readonly nameAt: Span;
  /** What is mended for every client. */
  readonly repairs: readonly Edit[];
  /** What else is changed for clients that speak a legacy revision; sorted with `repairs`. */
  readonly legacyEdits: readonly Edit[];
  /** Whether legacy clients get its structured results inside an object's `result`, as its output schema says to them. */
  readonly wrapsOutput: boolean;
  /** Whether legacy clients are not shown its output schema, which would cost them the list. */
  readonly withholdsOutput: boolean;
  /** Arguments that a modern upstream also wants as headers. */
  readonly paramHeaders: readonly ParamHeader[];
}

/** Why a tool is left out that is sound, but that no client of the gateway could call. */
export const NEEDS_TASK = "its 'execution' asks for tasks, which are not served";

/** A larger tool would cost every client its context, whatever it describes. */
const MAX_TOOL_BYTES = 1024 * 1024;

/** Members that a list can do without, and what makes each of them readable. */
const OPTIONAL: Checks = new Map<string, (value: unknown) => boolean>([
  ['title', isString],
  ['description', isString],
  ['annotations', isAnnotations],
  ['icons', isIcons],
  ['execution', isExecution],
  ['_meta', isPlainObject],
  ['outputSchema', isOutputSchema],
]);

export function readListedTool(bytes: Buffer): ListedTool | Unusable {
  const scan = new JsonScanner(bytes);
  const members: Member[] = [];
  if (!isObjectAt(bytes, 0) || scan.readMembers(0, 1, members) < 0) {
    return { name: '', reason: 'it is no JSON object, or has a key twice' };
  }
  const nameAt = findMember(members, 'name');
  const name = nameAt === undefined ? undefined : stringAt(bytes, nameAt);
  if (nameAt === undefined || name === undefined) return { name: '', reason: 'it has no name' };
  const isTooLarge = bytes.length > MAX_TOOL_BYTES;
  const reason = isTooLarge ? `it is larger than ${MAX_TOOL_BYTES} bytes` : findNameProblem(name, members);
  if (reason !== undefined) return { name: name.slice(0, 128), reason };
  // The copy is for looking only: what clients get is cut from the bytes.
  const parsed: Record<string, unknown> = JSON.parse(bytes.toString('utf8'));
  // No call that runs as a task crosses (protocol.md §11): such a tool could be called by nobody.
  if (needsTask(parsed.execution)) return { name, reason: NEEDS_TASK };
  const input = readInputSchema(bytes, findMember(members, 'inputSchema'), parsed.inputSchema);
  if (typeof input === 'string') return { name, reason: input };
  const paramHeaders = readParamHeaders(parsed.inputSchema);
  if (typeof paramHeaders === 'string') return { name, reason: paramHeaders };
  const isUnreadable = ({ key }: Member): boolean => OPTIONAL.get(key)?.(parsed[key]) === false;
  const repairs = removeMembers(members, isUnreadable);
  const outputAt = findMember(members, 'outputSchema');
  const { outputSchema } = parsed;
  const output =
    outputAt !== undefined && isOutputSchema(outputSchema)
      ? readLegacyOutput(bytes, outputAt, outputSchema)
      : { edits: [], wraps: false };
  const withholdsOutput = output.edits === undefined;
  const removals = withholdsOutput
    ? removeMembers(members, (member) => member.key === 'outputSchema' || isUnreadable(member))
    : repairs;
  return {
    name,
    bytes,
    nameAt: { start: nameAt.start, end: nameAt.end },
    repairs,
    legacyEdits: [...removals, ...input, ...(output.edits ?? [])].sort((a, b) => a.start - b.start),
    wrapsOutput: output.wraps,
    withholdsOutput,
    paramHeaders,
  };
}

function findNameProblem(name: string, members: readonly Member[]): string | undefined {
  if (!isUpstreamToolName(name)) return 'its name is not 1 to 128 of A-Z a-z 0-9 _ . -';
  // A client that ignores case would show the tool under such a name, which may be one of another service.
  return members.some(({ key }) => key !== 'name' && key.toLowerCase() === 'name')
    ? "it has a second key that differs from 'name' in case only"
    : undefined;
}

/** The edits that let legacy clients read an input schema, or why no client could (2026-07-28 server/tools#tool). */
function readInputSchema(bytes: Buffer, at: Member | undefined, schema: unknown): Edit[] | string {
  if (at === undefined || !isPlainObject(schema)) return "its 'inputSchema' is missing or no object";
  if (schema.type !== 'object') return "its 'inputSchema' is not of type object";
  if (!isDialect(schema.$schema)) return "its 'inputSchema' has a '$schema' that is no string";
  if (!isRequired(schema.required)) return "its 'inputSchema' has a 'required' that is no list of names";
  return editProperties(bytes, at) ?? "its 'inputSchema' has 'properties' that are no object";
}

/** MCP allows no `true` or `false` here: clients of either era refuse the list. */
function isOutputSchema(value: unknown): value is Record<string, unknown> {
  return isPlainObject(value) && isDialect(value.$schema);
}

function isDialect(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}

function isAnnotations(value: unknown): boolean {
  if (!isPlainObject(value)) return false;
  const { title, readOnlyHint, destructiveHint, idempotentHint, openWorldHint } = value;
  const hints = [readOnlyHint, destructiveHint, idempotentHint, openWorldHint];
  return (
    (title === undefined || typeof title === 'string') &&
    hints.every((hint) => hint === undefined || typeof hint === 'boolean')
  );
}

function needsTask(execution: unknown): boolean {
  return isPlainObject(execution) && execution.taskSupport === 'required';
}

function isExecution(value: unknown): boolean {
  return isPlainObject(value) && [undefined, 'optional', 'forbidden'].includes(value.taskSupport as string);
}
