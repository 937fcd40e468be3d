// `switchboard serve`: a gateway from a config file, reloaded when the file changes, in one process or in several.

import { VERSION } from '../domain/version.ts';
import type { Settings } from '../settings/settings.ts';
import { countWorkers, type Workers } from '../settings/workers.ts';
import { followConfigFile } from './reload.ts';
import { runUntilSignal } from './run-until-signal.ts';
import { masterKeySource, requireServable } from './settings-or-exit.ts';

/** `workers` takes the place of the setting. */
export async function serve(options: { config: string; workers?: Workers }): Promise<void> {
  const { config: file } = options;
  const settings = await requireServable(file);
  const count = countWorkers(options.workers ?? settings.workers);
  if (count > 1) {
    const { serveWithWorkers } = await import('./workers/serve-with-workers.ts');
    await serveWithWorkers({ config: file, settings, count }, announce);
    return;
  }
  // After the file, so that a bad one is refused without a whole gateway being read.
  const { createGateway } = await import('../gateway.ts');
  const gateway = await createGateway({ settings, masterKey: masterKeySource() });
  const { url, adminUrl } = await gateway.listen();
  const reload = followConfigFile(gateway, file, settings);
  process.on('SIGHUP', reload.request);
  const stopped = runUntilSignal(gateway, async () => reload.stop());
  // Whoever waits for these lines may send a signal as soon as they are there.
  announce(settings, url, adminUrl);
  await stopped;
  process.off('SIGHUP', reload.request);
}

/** Says the URL that agents are to be given; where that is not this process's own, what a proxy is to be given as well. */
function announce({ publicUrl }: Settings, url: string, adminUrl: string): void {
  const own = publicUrl === undefined ? '' : `It listens on ${url}\n`;
  const operators = adminUrl === url ? '' : `Operators connect to ${adminUrl}\n`;
  const agents = publicUrl?.replace(/\/+$/, '') ?? url;
  process.stdout.write(`Switchboard ${VERSION} serves ${agents}/mcp\n${own}${operators}`);
}
