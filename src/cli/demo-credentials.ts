// The demo's token and API key: made at the first start, kept in a file only its owner can read, printed at every start.

import { readFile, rename, writeFile } from 'node:fs/promises';
import * as z from 'zod';

const DEMO_FILE = '.switchboard/demo.json';

const schema = z.object({ url: z.url(), token: z.string(), api_key: z.string() });
export type DemoCredentials = z.output<typeof schema>;

/** What an earlier start kept, or `undefined` when there is none or it cannot be read as such. */
export async function readDemoCredentials(): Promise<DemoCredentials | undefined> {
  try {
    return schema.safeParse(JSON.parse(await readFile(DEMO_FILE, 'utf8'))).data;
  } catch {
    // Missing or damaged: the demo makes new ones.
    return undefined;
  }
}

export async function keepDemoCredentials(credentials: DemoCredentials): Promise<void> {
  await writeFile(`${DEMO_FILE}.new`, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 });
  await rename(`${DEMO_FILE}.new`, DEMO_FILE);
}
