// What can go wrong with a process that is an upstream, in the words a client and an operator are told: its command may
// be named, never its folder, its environment nor anything it wrote.

import { basename } from 'node:path';
import type { UpstreamFailureReason } from '../../domain/errors.ts';

/** Reaches its readers through `classifyUpstreamError`. `message` is a clause about the upstream. */
export class StdioFault extends Error {
  readonly reason: UpstreamFailureReason;

  constructor(reason: UpstreamFailureReason, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = 'StdioFault';
    this.reason = reason;
  }
}

/** Why a command could not be started; `code` is the system's. */
export function cannotStart(command: string, code: string): StdioFault {
  // Agents read this too, and the folders of this machine are none of theirs.
  const name = JSON.stringify(basename(command));
  const word = CAUSES.get(code) ?? `cannot be started (${code})`;
  return new StdioFault('unreachable', code === NO_DIRECTORY ? NO_DIRECTORY_TEXT : `its command ${name} ${word}`);
}

const NO_DIRECTORY = 'NOT_A_DIRECTORY';
const NO_DIRECTORY_TEXT = "its working directory, 'cwd' of its config, is no directory here";
const OUT_OF_PROCESSES = 'cannot be started: this machine allows no more processes or files';

const CAUSES: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'is not found: install it, or give its path; it is looked up in the PATH of the gateway'],
  ['EACCES', 'is not executable by the user the gateway runs as'],
  ['ENOEXEC', 'is no program: begin a script with #!, or name its interpreter as the command'],
  ['E2BIG', 'has more arguments and environment than the system takes'],
  ['EAGAIN', OUT_OF_PROCESSES],
  ['EMFILE', OUT_OF_PROCESSES],
  ['ENFILE', OUT_OF_PROCESSES],
  ['ENOMEM', OUT_OF_PROCESSES],
]);
