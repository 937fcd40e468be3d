// The life of the process that holds the ports: starts the workers, passes signals on, and ends when they all have.

import { toUrl } from '../../edge/port.ts';
import type { Settings } from '../../settings/settings.ts';
import { runUntilSignal } from '../run-until-signal.ts';
import { Workers, type WorkersOptions } from './workers.ts';

/** `announce` is told where they serve. Sets the exit code to 1 when they cannot; whichever could not has said why. */
export async function serveWithWorkers(
  options: WorkersOptions,
  announce: (settings: Settings, url: string, adminUrl: string) => void,
): Promise<void> {
  const { settings } = options;
  const workers = new Workers(options);
  const addresses = await workers.listen();
  if (addresses === undefined) {
    process.exitCode = 1;
    return;
  }
  const { main, admin } = addresses;
  const onHangUp = (): void => workers.reload();
  process.on('SIGHUP', onHangUp);
  const stopped = runUntilSignal(workers, async () => undefined);
  const url = toUrl(main, settings.listen.tls);
  announce(settings, url, admin === undefined ? url : toUrl(admin, settings.admin?.listen.tls));
  await stopped;
  process.off('SIGHUP', onHangUp);
}
