// `switchboard explain`: asks the running gateway, for only it knows what its upstreams have now.

import type { Explanation } from '../catalog/explain.ts';
import { GatewayError } from '../domain/errors.ts';
import { readEnvironment } from '../settings/environment.ts';
import { readDemoCredentials } from './demo-credentials.ts';
import type { OutputFormat } from './output.ts';

const TIMEOUT_MS = 10_000;

export async function explain(
  tool: string,
  options: { token: string; url?: string; output: OutputFormat },
): Promise<void> {
  const explanation = await ask(tool, options.token, options.url);
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(explanation, null, 2)}\n`);
  else process.stdout.write(toText(explanation));
}

async function ask(tool: string, token: string, url: string | undefined): Promise<Explanation> {
  const environment = readEnvironment();
  const demo = await readDemoCredentials();
  const base = url ?? environment.url ?? demo?.url;
  const key = environment.apiKey?.reveal() ?? demo?.api_key;
  if (base === undefined || key === undefined) {
    throw new GatewayError(
      'invalid_argument',
      'Which gateway? Set SWITCHBOARD_URL and SWITCHBOARD_API_KEY, or run this where the demo was started.',
    );
  }
  const response = await get(`${base}/v1/explain?${new URLSearchParams({ tool, token })}`, key);
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok) return body as Explanation;
  const message =
    typeof body === 'object' && body !== null && 'message' in body ? String(body.message) : response.statusText;
  throw new GatewayError('invalid_argument', `The gateway refused (HTTP ${response.status}): ${message}`);
}

async function get(url: string, key: string): Promise<Response> {
  try {
    return await fetch(url, { headers: { authorization: `Bearer ${key}` }, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (cause) {
    throw new GatewayError('invalid_argument', `No gateway answers at ${new URL(url).origin}. Is it running?`, {
      cause,
    });
  }
}

function toText({ verdict, steps, suggestion }: Explanation): string {
  const lines = [verdict, ...steps.map((step) => `  - ${step}`)];
  if (suggestion !== null) lines.push(`To admit it: ${suggestion}`);
  return `${lines.join('\n')}\n`;
}
