// The first thing a serving command does with its settings: see that it could serve.

import { createListener } from '../edge/listener.ts';
import type { Settings } from '../settings/settings.ts';

/**
 * Throws `GatewayError` when the address cannot be bound. Asked before the store is opened: a start by mistake beside a
 * running gateway would otherwise apply its own configuration to the store that one serves from, and only then fail.
 */
export async function requireFreePort({ host, port }: Settings['listen']): Promise<void> {
  const listener = createListener({ host, port }, () => undefined);
  await listener.listen();
  await listener.close();
}
