// Reads the config file again while the gateway serves. A good edit is one swap of the configuration; a bad one changes
// nothing and is reported; one that cannot be read, or that the store did not take, is tried again until it is in force.

import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../domain/errors.ts';
import type { Gateway } from '../gateway.ts';
import { readEnvironment } from '../settings/environment.ts';
import { formatProblem } from '../settings/file-problem.ts';
import { loadSettings } from '../settings/load-settings.ts';
import type { Settings } from '../settings/settings.ts';
import { watchConfigFile } from '../settings/watch-config-file.ts';

const RETRY_MS = 250;

interface Outcome {
  /** None when the file is in force. */
  readonly problems: readonly string[];
  /** The file may be good: it could not be read, or the store was not there for it. */
  readonly isDue: boolean;
}

interface Reload {
  /** Asks for the file to be read. Never throws; what went wrong is in the log and in `/readyz?detail`. */
  readonly request: () => void;
  /** Stops watching and trying again. */
  readonly stop: () => void;
}

/** Reads the file when it has changed, when the store was restored, and when it is asked to. `started` are the settings that the gateway was made with. */
export function followConfigFile(gateway: Gateway, file: string, started: Settings): Reload {
  const reload = createReload(gateway, file, started);
  gateway.onRestored(reload.request);
  const stopWatching = watchConfigFile(file, reload.request, { loadedDigest: started.declared.digest });
  return {
    request: reload.request,
    stop: () => {
      stopWatching();
      reload.stop();
    },
  };
}

function createReload(gateway: Gateway, file: string, started: Settings): Reload {
  let isDue = false;
  let isReading = false;
  let isStopped = false;
  let retry: NodeJS.Timeout | undefined;
  let reported: readonly string[] = [];

  /** A store that stays away is said once, not at every try. */
  function report(problems: readonly string[]): void {
    if (problems.length > 0 && isDeepStrictEqual(problems, reported)) return;
    reported = problems;
    gateway.reportReload({ ok: problems.length === 0, atMs: Date.now(), problems });
    for (const problem of problems) gateway.log.warn('config file not used', { file, reason: problem });
  }

  /** Each turn reads what is in the file by then, so a newer edit takes the place of one that is still to be tried again. */
  async function readWhileDue(): Promise<void> {
    if (isReading) return;
    isReading = true;
    try {
      while (isDue && !isStopped) {
        isDue = false;
        clearTimeout(retry);
        const outcome = await readOnce(gateway, file, started);
        if (outcome.isDue && !isStopped) retry = setTimeout(request, RETRY_MS).unref();
        report(outcome.problems);
      }
    } finally {
      isReading = false;
    }
  }

  function request(): void {
    isDue = true;
    // Nothing but the log itself can have failed, and a later edit is to be read all the same.
    readWhileDue().catch(() => undefined);
  }

  return {
    request,
    stop: () => {
      isStopped = true;
      clearTimeout(retry);
    },
  };
}

async function readOnce(gateway: Gateway, file: string, started: Settings): Promise<Outcome> {
  try {
    const outcome = await loadSettings(file, readEnvironment());
    if (!outcome.ok) return { problems: outcome.problems.map(formatProblem), isDue: outcome.isUnread === true };
    const { created, updated, deleted } = await gateway.apply(outcome.settings.declared);
    gateway.log.info('config file applied', { file, count: created + updated + deleted });
    for (const warning of outcome.warnings) gateway.log.warn('config file', { warning: formatProblem(warning) });
    const { declared: _, ...now } = outcome.settings;
    const { declared: __, ...before } = started;
    if (!isDeepStrictEqual(now, before)) {
      gateway.log.warn('restart needed: settings other than secrets, mcp_configs and tokens have changed', { file });
    }
    return { problems: [], isDue: false };
  } catch (error) {
    if (error instanceof GatewayError) return { problems: [error.message], isDue: error.code === 'store_unavailable' };
    // Our own bug; the last good configuration goes on serving all the same.
    gateway.log.error('config file not applied', { file, error });
    return { problems: ['the gateway failed on this file; its log says more'], isDue: false };
  }
}
