// Sealed handles: what a client carries for us (session ids, cursors) and can neither read nor make nor move elsewhere.

import { decodeBase64url } from './base64url.ts';
import { deriveKey, open, seal, toAad } from './cipher.ts';

export interface Sealer {
  /** Gives base64url. `context` says who may use it and for what; it is not in the text and must be said again to open it. */
  seal(payload: Buffer, context: string): string;
  /** `undefined` for anything that was not sealed here, for this context. Never throws. */
  open(text: string, context: string): Buffer | undefined;
}

/** Handles of one purpose do not open as handles of another: each purpose has its own key. */
export function createSealer(key: Buffer, purpose: string): Sealer {
  const own = deriveKey(key, `switchboard/v1/sealer/${purpose}`);
  return {
    seal: (payload, context) => seal(own, payload, toAad([context])).toString('base64url'),
    open(text, context) {
      const sealed = decodeBase64url(text);
      return sealed && open(own, sealed, toAad([context]));
    },
  };
}
