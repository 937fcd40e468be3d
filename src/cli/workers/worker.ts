// One worker: a whole gateway whose connections come from the process that started it, and that ends with that one.

import type { Gateway } from '../../gateway.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { explain } from '../command-errors.ts';
import { followConfigFile } from '../reload.ts';
import { masterKeySource, requireServable } from '../settings-or-exit.ts';
import type { WorkerStart } from './messages.ts';
import { ParentLink } from './parent-link.ts';

/** `startText` is a `WorkerStart` as JSON. Ends the process. */
export async function runWorker(startText: string): Promise<never> {
  try {
    await serveUntilDrained(JSON.parse(startText) as WorkerStart);
    return process.exit();
  } catch (error) {
    const text = explain(error);
    if (text === undefined) throw error;
    process.stderr.write(text);
    return process.exit(1);
  }
}

async function serveUntilDrained(start: WorkerStart): Promise<void> {
  const go = Promise.withResolvers<'go'>();
  const drain = Promise.withResolvers<string>();
  let reload = (): void => undefined;
  let gateway: Gateway | undefined;
  const link = new ParentLink(start, {
    onGo: () => go.resolve('go'),
    onReload: () => reload(),
    onDrain: drain.resolve,
    answer: async (question) => gateway?.answer(question),
  });
  // A terminal sends these to the whole group, and whoever started this one says what they mean for it.
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
  process.on('SIGTERM', () => drain.resolve('it was told to'));
  const { config, index } = start;
  // Of warnings whoever started this one has told.
  const settings = await requireServable(config, false);
  const { createGateway } = await import('../../gateway.ts');
  if ((await Promise.race([go.promise, drain.promise])) !== 'go') return;
  const log = createLogger({ level: settings.log.level, worker: index + 1 });
  gateway = await createGateway({ settings, masterKey: masterKeySource(), log, worker: link.place() });
  await gateway.listen();
  const file = followConfigFile(gateway, config, settings);
  reload = file.request;
  link.tell({ tell: 'ready' });
  log.info('draining', { reason: await drain.promise });
  await gateway.close();
  file.stop();
  log.info('stopped');
}
