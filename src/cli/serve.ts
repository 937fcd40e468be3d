// `switchboard serve`: a gateway from a config file, reloaded when the file changes.

import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../domain/errors.ts';
import { VERSION } from '../domain/version.ts';
import { createGateway, type Gateway } from '../gateway.ts';
import { readEnvironment } from '../settings/environment.ts';
import { formatProblem } from '../settings/file-problem.ts';
import { loadSettings } from '../settings/load-settings.ts';
import type { Settings } from '../settings/settings.ts';
import { watchConfigFile } from '../settings/watch-config-file.ts';
import { requireFreePort } from './require-free-port.ts';
import { runUntilSignal } from './run-until-signal.ts';
import { masterKeySource, requireSettings } from './settings-or-exit.ts';

export async function serve(options: { config: string }): Promise<void> {
  const { config: file } = options;
  const settings = await requireSettings(file);
  await requireFreePort(settings.listen);
  if (settings.admin !== undefined) await requireFreePort(settings.admin.listen);
  const gateway = await createGateway({ settings, masterKey: masterKeySource() });
  const { url, adminUrl } = await gateway.listen().catch(async (error: unknown) => {
    // One of two listeners may be open by now.
    await gateway.close();
    throw error;
  });
  const reload = createReload(gateway, file, settings);
  const stopWatching = watchConfigFile(file, reload, { loadedDigest: settings.declared.digest });
  process.on('SIGHUP', reload);
  const stopped = runUntilSignal(gateway, async () => stopWatching());
  // Whoever waits for this line may send a signal as soon as it is there.
  const operators = adminUrl === url ? '' : `Operators connect to ${adminUrl}\n`;
  process.stdout.write(`Switchboard ${VERSION} serves ${url}/mcp\n${operators}`);
  await stopped;
  process.off('SIGHUP', reload);
}

/** Reads the file again. A good edit is one swap of the configuration; a bad one changes nothing and is reported. */
function createReload(gateway: Gateway, file: string, started: Settings): () => void {
  let queue = Promise.resolve();
  const readAgain = async (): Promise<void> => {
    const problems = await tryReload(gateway, file, started);
    gateway.reportReload({ ok: problems.length === 0, atMs: Date.now(), problems });
    for (const problem of problems) gateway.log.warn('config file not used', { file, reason: problem });
  };
  return () => {
    queue = queue.then(readAgain);
  };
}

async function tryReload(gateway: Gateway, file: string, started: Settings): Promise<readonly string[]> {
  try {
    const outcome = await loadSettings(file, readEnvironment());
    if (!outcome.ok) return outcome.problems.map(formatProblem);
    for (const warning of outcome.warnings) gateway.log.warn('config file', { warning: formatProblem(warning) });
    const { created, updated, deleted } = await gateway.apply(outcome.settings.declared);
    gateway.log.info('config file applied', { file, count: created + updated + deleted });
    const { declared: _, ...now } = outcome.settings;
    const { declared: __, ...before } = started;
    if (!isDeepStrictEqual(now, before)) {
      gateway.log.warn('restart needed: settings other than secrets, mcp_configs and tokens have changed', { file });
    }
    return [];
  } catch (error) {
    if (error instanceof GatewayError) return [error.message];
    // Our own bug; the last good configuration goes on serving all the same.
    gateway.log.error('config file not applied', { file, error });
    return ['the gateway failed on this file; its log says more'];
  }
}
