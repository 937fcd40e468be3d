// `switchboard explain`: asks the running gateway, for only it knows what its upstreams have now.

import * as z from 'zod';
import { GatewayError } from '../domain/errors.ts';
import { readEnvironment } from '../settings/environment.ts';
import { parseGatewayUrl } from './arguments.ts';
import { readDemoCredentials } from './demo-credentials.ts';
import type { OutputFormat } from './output.ts';

const TIMEOUT_MS = 10_000;

const explanationSchema = z.looseObject({
  verdict: z.string(),
  steps: z.array(z.string()),
  suggestion: z.string().nullable(),
});
type Shown = z.output<typeof explanationSchema>;

interface Target {
  readonly url: string;
  readonly key: string;
}

export async function explain(
  tool: string,
  options: { token: string; url?: string; output: OutputFormat },
): Promise<void> {
  const target = await findTarget(options.url);
  const explanation = await ask(target, `/v1/explain?${new URLSearchParams({ tool, token: options.token })}`);
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(explanation, null, 2)}\n`);
  else process.stdout.write(toText(explanation));
}

/** A URL and its key belong together: the demo's key goes to the demo alone, and no other key to a URL out of its file. */
async function findTarget(option: string | undefined): Promise<Target> {
  const environment = readEnvironment();
  const url = option ?? (environment.url === undefined ? undefined : parseGatewayUrl(environment.url));
  const demo = await readDemoCredentials();
  if (url === undefined && demo !== undefined) return { url: demo.url, key: demo.api_key };
  if (url === undefined) {
    throw new GatewayError(
      'invalid_argument',
      'Which gateway? Set SWITCHBOARD_URL and SWITCHBOARD_API_KEY, or run this in the folder where the demo was started.',
    );
  }
  const key = environment.apiKey?.reveal() ?? (url === demo?.url ? demo.api_key : undefined);
  if (key !== undefined) return { url, key };
  throw new GatewayError(
    'invalid_argument',
    `Set SWITCHBOARD_API_KEY to an API key of ${url}; \`switchboard keys create NAME\` makes one there.`,
  );
}

async function ask({ url, key }: Target, path: string): Promise<Shown> {
  const response = await get(`${url}${path}`, key);
  const body: unknown = await response.json().catch(() => undefined);
  const explanation = explanationSchema.safeParse(body);
  if (response.ok && explanation.success) return explanation.data;
  const refusal = z.object({ message: z.string() }).safeParse(body);
  throw new GatewayError(
    'invalid_argument',
    refusal.success
      ? `The gateway refused (HTTP ${response.status}): ${refusal.data.message}`
      : `What answers at ${url} (HTTP ${response.status}) is no Switchboard. Check SWITCHBOARD_URL or --url.`,
  );
}

async function get(url: string, key: string): Promise<Response> {
  const headers = { authorization: `Bearer ${key}` };
  try {
    // The key goes to the gateway that was named, not to where an answer points.
    return await fetch(url, { headers, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (cause) {
    const message = `No gateway answers at ${new URL(url).origin}. Is it running there?`;
    throw new GatewayError('invalid_argument', message, { cause });
  }
}

function toText({ verdict, steps, suggestion }: Shown): string {
  const lines = [verdict, ...steps.map((step) => `  - ${step}`)];
  if (suggestion !== null) lines.push(`To admit it: ${suggestion}`);
  return `${lines.join('\n')}\n`;
}
