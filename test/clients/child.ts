// Runs one client program to its end, in a folder and an environment of its own.

import { execFile } from 'node:child_process';

export interface ChildOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
}

/** Resolves with stdout; rejects with the exit code, the signal and the end of both outputs. */
export function runChild(command: string, args: readonly string[], options: ChildOptions): Promise<string> {
  const { timeoutMs, ...rest } = options;
  const settings = { ...rest, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 16 * 1024 * 1024 } as const;
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, settings, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const why = error.killed === true ? `killed after ${timeoutMs} ms` : `exit ${error.signal ?? error.code}`;
      reject(new Error(`${why}: ${`${stdout}\n${stderr}`.trim().slice(-600)}`));
    });
    child.stdin?.end();
  });
}
