// YAML or JSON text into plain values that remember where in the text each of them stands.

import { type Document, isAlias, isMap, isNode, isScalar, isSeq, parseDocument, visit } from 'yaml';

export type Path = readonly (string | number)[];

/** Line and column, both from 1; columns count UTF-16 code units, as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface SourceProblem extends Position {
  readonly message: string;
  /** A problem after which the value means nothing; of these only the first is told, as the rest are its echo. */
  readonly isFatal: boolean;
}

export interface YamlSource {
  readonly value: unknown;
  readonly problems: readonly SourceProblem[];
  /** Of the value at `path`, or of the nearest parent that exists; with `key`, of the key that holds it. */
  positionOf(path: Path, part?: 'key' | 'value'): Position;
}

const MAX_ALIASES = 100;

/** `mcp_configs[0].allowed_tools[1]`. */
export function toPathText(path: Path): string {
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${step}`))
    .join('');
}

function childOf(
  node: unknown,
  step: string | number,
  document: Document,
): { key: unknown; value: unknown } | undefined {
  const target = isAlias(node) ? node.resolve(document) : node;
  if (isSeq(target)) {
    const item = typeof step === 'number' ? target.items[step] : undefined;
    return item === undefined ? undefined : { key: item, value: item };
  }
  // The last of two equal keys is the one whose value counts.
  const pair = isMap(target)
    ? target.items.findLast(({ key }) => (isScalar(key) ? String(key.value) : undefined) === String(step))
    : undefined;
  return pair && { key: pair.key, value: pair.value };
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function isEmptyNode(node: unknown): boolean {
  return !isNode(node) || node.range === undefined || node.range === null || node.range[0] === node.range[1];
}

function explain(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'the same key is written twice here: keep one';
  if (code === 'RESOURCE_EXHAUSTION') return 'this is nested too deeply to be read';
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here (---): a config file holds one';
  if (code === 'TAG_RESOLVE_FAILED') return 'a tag (!name) means nothing here: put the text in quotes if it is none';
  // After a colon the parser repeats what it stumbled over, which may be a secret.
  return `cannot be read as YAML: ${message.replace(/: .*$/s, '')}`;
}

/** Counted here, as the parser's own line counter misses line ends inside broken flow collections. */
function toPosition(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') };
}

/** Parses YAML 1.2 (JSON included). Never throws: what is wrong with the text is in `problems`. */
export function parseYamlSource(text: string): YamlSource {
  const document = parseDocument(text, {
    prettyErrors: false,
    stringKeys: true,
    // A %YAML 1.1 directive must not bring back `yes` as a boolean or `<<` as a merge.
    schema: 'core',
    merge: false,
  });
  const at = (offset: number): Position => toPosition(text, offset);

  const problems: SourceProblem[] = [...document.errors, ...document.warnings].map(({ code, message, pos }) => ({
    ...at(pos[0]),
    message: explain(code, message),
    isFatal: code !== 'DUPLICATE_KEY',
  }));
  const positionOf = (path: Path, part: 'key' | 'value' = 'value'): Position => {
    let found = { key: document.contents as unknown, value: document.contents as unknown };
    for (const step of path) {
      const child = childOf(found.value, step, document);
      if (child === undefined) return at(startOf(found.key) ?? 0);
      found = child;
    }
    return at(startOf(part === 'key' || isEmptyNode(found.value) ? found.key : found.value) ?? 0);
  };
  if (problems.some(({ isFatal }) => isFatal)) return { value: undefined, problems, positionOf };

  let aliases = 0;
  visit(document, {
    Alias(_key, node) {
      aliases++;
      const message =
        aliases > MAX_ALIASES
          ? `more than ${MAX_ALIASES} aliases (*name): write the values out`
          : node.resolve(document) === undefined
            ? 'this alias (*name) has no anchor (&name) before it: put the text in quotes if it is none'
            : undefined;
      if (message === undefined) return undefined;
      problems.push({ ...at(startOf(node) ?? 0), message, isFatal: true });
      return visit.BREAK;
    },
  });
  if (problems.some(({ isFatal }) => isFatal)) return { value: undefined, problems, positionOf };

  try {
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }), problems, positionOf };
  } catch {
    // The parser's own guard against aliases of aliases, whose expansion grows exponentially.
    const message = 'aliases of aliases multiply beyond reason: write the values out';
    return { value: undefined, problems: [...problems, { ...at(0), message, isFatal: true }], positionOf };
  }
}
