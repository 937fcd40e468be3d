// A problem or a warning about the config file, and the one line an operator reads about it.

import type { Path, Position } from './yaml-source.ts';

/** What a check found, before it is given its place in the text. */
export interface Finding {
  readonly path: Path;
  /** Whether the key or its value is at fault. */
  readonly part: 'key' | 'value';
  readonly message: string;
  readonly suggestion?: string;
}

export interface FileProblem extends Position {
  readonly file: string;
  /** Written as `mcp_configs[0].endpoint`; empty when the file as a whole is meant. */
  readonly path: string;
  readonly message: string;
  /** What was probably meant. */
  readonly suggestion?: string;
}

/** `config.yaml:14:9 mcp_configs[0].endpiont is not a known key (did you mean endpoint?)` */
export function formatProblem({ file, line, column, path, message, suggestion }: FileProblem): string {
  const hint = suggestion === undefined ? '' : ` (did you mean ${suggestion}?)`;
  return `${file}:${line}:${column} ${path === '' ? '' : `${path} `}${message}${hint}`;
}
