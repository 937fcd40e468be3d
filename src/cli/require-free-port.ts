// The first thing the demo does with its settings: see that it could serve.

import { createListener } from '../edge/listener.ts';
import type { Settings } from '../settings/settings.ts';

/**
 * Throws `GatewayError` when the address cannot be bound. A gateway looks for itself, but only after the demo has made a
 * folder, credentials and upstreams for it.
 */
export async function requireFreePort({ host, port }: Settings['listen']): Promise<void> {
  const listener = createListener({ host, port }, () => undefined);
  await listener.listen();
  await listener.close();
}
