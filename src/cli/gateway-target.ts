// Which running gateway the commands ask, and with which API key.

import { GatewayError } from '../domain/errors.ts';
import { readEnvironment } from '../settings/environment.ts';
import { parseGatewayUrl } from './arguments.ts';
import { readDemoCredentials } from './demo-credentials.ts';

export interface Target {
  readonly url: string;
  readonly key: string;
}

/**
 * `--url`, else `SWITCHBOARD_URL`, else the demo of this folder. A URL and its key belong together: the demo's key goes to
 * the demo alone, and no other key to a URL out of its file, which may have come with a folder of somebody else. Nor is the
 * demo's used in the place of another. Throws `invalid_argument` when either is not known.
 */
export async function findTarget(option: string | undefined): Promise<Target> {
  const environment = readEnvironment();
  const url = option ?? (environment.url === undefined ? undefined : parseGatewayUrl(environment.url));
  const demo = await readDemoCredentials();
  const given = environment.apiKey?.reveal();
  if (url === undefined && demo !== undefined) {
    if (given === undefined || given === demo.api_key) return { url: demo.url, key: demo.api_key };
    throw new GatewayError(
      'invalid_argument',
      'SWITCHBOARD_API_KEY is set and SWITCHBOARD_URL is not: say which gateway the key is for, or unset it to act on the demo of this folder.',
    );
  }
  if (url === undefined) {
    throw new GatewayError(
      'invalid_argument',
      'Which gateway? Set SWITCHBOARD_URL and SWITCHBOARD_API_KEY, or run this in the folder where the demo was started.',
    );
  }
  const key = given ?? (url === demo?.url ? demo.api_key : undefined);
  if (key !== undefined) return { url, key };
  throw new GatewayError(
    'invalid_argument',
    `Set SWITCHBOARD_API_KEY to an API key of ${url}; \`switchboard keys create NAME -c CONFIG\` makes one in its store.`,
  );
}
