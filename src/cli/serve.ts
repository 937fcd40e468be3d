// `switchboard serve`: a gateway from a config file, reloaded when the file changes.

import { VERSION } from '../domain/version.ts';
import { watchConfigFile } from '../settings/watch-config-file.ts';
import { createReload } from './reload.ts';
import { runUntilSignal } from './run-until-signal.ts';
import { masterKeySource, requireServable } from './settings-or-exit.ts';

export async function serve(options: { config: string }): Promise<void> {
  const { config: file } = options;
  const settings = await requireServable(file);
  // After the file, so that a bad one is refused without a whole gateway being read.
  const { createGateway } = await import('../gateway.ts');
  const gateway = await createGateway({ settings, masterKey: masterKeySource() });
  const { url, adminUrl } = await gateway.listen();
  const reload = createReload(gateway, file, settings);
  const stopWatching = watchConfigFile(file, reload.request, { loadedDigest: settings.declared.digest });
  process.on('SIGHUP', reload.request);
  const stopped = runUntilSignal(gateway, async () => {
    stopWatching();
    reload.stop();
  });
  // Whoever waits for this line may send a signal as soon as it is there.
  const operators = adminUrl === url ? '' : `Operators connect to ${adminUrl}\n`;
  process.stdout.write(`${serving(url, settings.publicUrl)}${operators}`);
  await stopped;
  process.off('SIGHUP', reload.request);
}

/** The URL that agents are to be given; where that is not this process's own, what a proxy is to be given as well. */
function serving(url: string, publicUrl: string | undefined): string {
  if (publicUrl === undefined) return `Switchboard ${VERSION} serves ${url}/mcp\n`;
  return `Switchboard ${VERSION} serves ${publicUrl.replace(/\/+$/, '')}/mcp\nIt listens on ${url}\n`;
}
