// Ways in which a command fails that `program.ts` reports otherwise than in one line with exit code 1.

import { GatewayError } from '../domain/errors.ts';

/** It was called wrongly in a way that the parser of the command line cannot see. Exit code 2, as for what that sees. */
export class UsageError extends GatewayError {
  constructor(message: string) {
    super('invalid_argument', message);
    this.name = 'UsageError';
  }
}

/** Problems of a config file. Each line begins with its place, and not with our name, as editors expect of a checker. */
export class FileError extends GatewayError {
  constructor(lines: readonly string[]) {
    super('invalid_argument', lines.join('\n'));
    this.name = 'FileError';
  }
}

/**
 * What stderr says of an error that an operator can do something about. A failed system call names the call and the file,
 * which is what they need. `undefined` for anything else, which is our bug and keeps its stack.
 */
export function explain(error: unknown): string | undefined {
  if (error instanceof FileError) return `${error.message}\n`;
  const isExplained = error instanceof GatewayError || (error instanceof Error && 'syscall' in error);
  return isExplained ? `switchboard: ${error.message}\n` : undefined;
}
