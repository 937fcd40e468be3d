// What an account has, as far as a file can declare it.

import type { RestClient, View } from '../rest-client.ts';
import { type Kind, type There, toThere, wordsOfConfigView, wordsOfTokenView } from './words.ts';

/** The objects of each kind by name. */
export type Account = Readonly<Record<Kind, ReadonlyMap<string, There>>>;

/** Read list by list and not in one moment: whatever is written later carries the revision that was read. */
export async function readAccount(client: RestClient): Promise<Account> {
  const secrets = await client.list('/secrets', 'secrets');
  const configs = await client.list('/mcp-configs', 'mcp_configs');
  const tokens = declarable(await client.list('/mcp-tokens', 'mcp_tokens'));
  const names = new Map([...secrets, ...configs].map(({ id, name }) => [String(id), String(name)]));
  return {
    secret: byName(secrets, () => ({})),
    mcp_config: byName(configs, (view) => wordsOfConfigView(view, names)),
    token: byName(tokens, (view) => wordsOfTokenView(view, names)),
  };
}

function byName(views: readonly View[], toFields: (view: View) => There['fields']): ReadonlyMap<string, There> {
  return new Map(views.map((view) => [String(view.name), toThere(view, toFields(view))]));
}

/** Revoked tokens may share their name with one in force; those of a devbox end with it, and no file declares them. */
function declarable(tokens: readonly View[]): View[] {
  const inForce = tokens.filter((token) => token.revoke_time_ms === null && token.devbox_id === null);
  const taken = new Set(inForce.map(({ name }) => name));
  return [...inForce, ...tokens.filter((token) => token.managed_by === 'file' && !taken.has(token.name))];
}
