// Whose the state is that a modern client carries from one request to the next, and what is said of one that is not.

import type { Route } from '../catalog/route.ts';
import type { Refusal, RpcRequest } from './exchange.ts';
import type { StateOwner } from './request-states.ts';

/** The token, and the request with all that its way upstream is decided by. */
export function toStateOwner({ exchange, message }: RpcRequest, { grant, canonicalName }: Route): StateOwner {
  const { id: configId } = grant.config.config;
  return { tokenId: exchange.principal.token.id, configId, method: message.method, name: canonicalName };
}

/** Said of a state that is foreign, forged, used or expired: all alike, as of tools. */
export const UNKNOWN_STATE: Refusal = {
  code: 'unknown_request_state',
  message:
    'Unknown requestState: it has expired, was used before, or was given for another request. Send the request again without it.',
};
