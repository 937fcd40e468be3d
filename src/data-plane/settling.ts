// Lists and calls that came before their upstreams were ever asked wait here until those have answered, or have had their
// time (design §3.10).

import type { Catalog } from '../catalog/catalog.ts';
import type { Catalogs, CatalogWork } from '../catalog/catalogs.ts';
import type { Logger } from '../telemetry/logger.ts';
import { OVERLOADED, type Refusal, type RpcRequest, TOKEN_GONE } from './exchange.ts';
import type { BodyRoom } from './request-body.ts';

export interface SettlingDeps {
  readonly catalogs: Catalogs;
  readonly log: Logger;
  readonly limits: { readonly listWaitMs: number };
}

/** A request that waits for its catalog. */
export interface Waiting {
  readonly request: RpcRequest;
  /** What is done with the catalog first, in turns with other work. */
  readonly work?: CatalogWork | undefined;
  /** Goes on with the catalog. */
  readonly next: (catalog: Catalog) => void;
  /** `limited`: there is no room to wait. `invalid`: the token is gone. */
  readonly refuse: (refusal: Refusal, outcome: 'limited' | 'invalid') => void;
  /** Told before either, once the wait has begun. */
  readonly onOver?: () => void;
}

export class Settling {
  readonly #deps: SettlingDeps;
  readonly #room: BodyRoom;

  constructor(deps: SettlingDeps, room: BodyRoom) {
    this.#deps = deps;
    this.#room = room;
  }

  /** Returns whether the wait has begun: there may be nothing to wait for. */
  wait({ request, work, next, refuse, onOver }: Waiting): boolean {
    const { accountId, token } = request.exchange.principal;
    const { catalogs, limits, log } = this.#deps;
    const already = catalogs.alreadySettled(accountId, token.id, request.view, work);
    if (already !== undefined) {
      next(already);
      return false;
    }
    const bytes = request.message.bytes.length;
    if (!this.#room.tryHold(token.id, bytes)) {
      refuse(OVERLOADED, 'limited');
      return false;
    }
    const end = (): void => {
      this.#room.letGo(token.id, bytes);
      onOver?.();
    };
    const onCatalog = (catalog: Catalog | undefined): void => {
      if (catalog !== undefined && catalogs.isInForce(accountId, token)) next(catalog);
      else refuse({ code: 'unauthenticated', message: TOKEN_GONE }, 'invalid');
    };
    catalogs
      .settled(accountId, token.id, limits.listWaitMs, request.view, work)
      .finally(end)
      .then(onCatalog)
      .catch((error: unknown) => {
        log.error('request failed', { error, method: request.message.method });
        request.exchange.fail(request.idText);
      });
    return true;
  }
}
