// One run of the suite: directly against the fixture or by the reference client, or with a gateway in between.

import { join } from 'node:path';
import { startGateway } from '../support/gateway.ts';
import { type ClientCell, type Era, eraOf, type Revision, type ServerCell } from './cells.ts';
import { startFixture } from './fixture/start.ts';
import { CONFIG_NAME, conformanceConfig } from './gateway-config.ts';
import { startShim } from './shim.ts';
import type { Suite } from './suite.ts';
import type { Check } from './verdicts.ts';

export async function runServerDirectly(suite: Suite, revision: Revision): Promise<Check[]> {
  await using fixture = disposable(await startFixture(eraOf(revision)));
  return await suite.run(['server', '--url', fixture.url, '--requirements', revision]);
}

export async function runServerCell(suite: Suite, { revision, upstream, naming }: ServerCell): Promise<Check[]> {
  await using fixture = disposable(await startFixture(upstream));
  // The suite leaves calls behind that ask for input it never gives: nobody waits for them.
  const limits = { drain_ms: 200 };
  await using gateway = disposable(await startGateway({ configs: [conformanceConfig(fixture.url)], limits }));
  const token = gateway.token();
  const endpoint =
    naming === 'bare'
      ? { url: `${gateway.mcpUrl}/${CONFIG_NAME}`, token }
      : { url: gateway.mcpUrl, token, prefix: `${CONFIG_NAME}.` };
  await using shim = disposable(await startShim(endpoint));
  return await suite.run(['server', '--url', shim.url, '--requirements', revision]);
}

function disposable<T extends { close(): Promise<void> }>(it: T): T & AsyncDisposable {
  return Object.assign(it, { [Symbol.asyncDispose]: () => it.close() });
}

export function runClientDirectly(suite: Suite, revision: Revision, scenario: string): Promise<Check[]> {
  return runClient(suite, { program: 'client.ts', client: eraOf(revision), revision, scenario });
}

export function runClientCell(suite: Suite, { client, revision }: ClientCell, scenario: string): Promise<Check[]> {
  return runClient(suite, { program: 'via-gateway.ts', client, revision, scenario });
}

interface ClientRun {
  readonly program: 'client.ts' | 'via-gateway.ts';
  readonly client: Era;
  readonly revision: Revision;
  readonly scenario: string;
}

function runClient(suite: Suite, { program, client, revision, scenario }: ClientRun): Promise<Check[]> {
  // The suite hands the command to a shell.
  const command = `'${process.execPath}' '${join(import.meta.dirname, program)}' ${client}`;
  return suite.run(['client', '--command', command, '--scenario', scenario, '--spec-version', revision]);
}
