// The demo's token and API key: made at the first start, kept in a file only its owner can read, printed at every start.

import { readFile, rename, writeFile } from 'node:fs/promises';

const DEMO_FILE = '.switchboard/demo.json';

export interface DemoCredentials {
  readonly url: string;
  readonly token: string;
  readonly api_key: string;
}

/** What an earlier start kept, or `undefined` when there is none or it cannot be read as such. */
export async function readDemoCredentials(): Promise<DemoCredentials | undefined> {
  try {
    // Read by hand: every command that asks a gateway comes by here, and would wait for a schema library to be loaded.
    const { url, token, api_key } = JSON.parse(await readFile(DEMO_FILE, 'utf8'));
    const isWhole = [url, token, api_key].every((each) => typeof each === 'string') && URL.canParse(url);
    return isWhole ? { url, token, api_key } : undefined;
  } catch {
    // Missing or damaged: the demo makes new ones.
    return undefined;
  }
}

export async function keepDemoCredentials(credentials: DemoCredentials): Promise<void> {
  await writeFile(`${DEMO_FILE}.new`, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 });
  await rename(`${DEMO_FILE}.new`, DEMO_FILE);
}
