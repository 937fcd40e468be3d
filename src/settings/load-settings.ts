// From a config file, or none, and the environment to the settings that will run.

import { type RefusedFile, readConfigFile } from './config-file.ts';
import type { Environment } from './environment.ts';
import type { FileProblem } from './file-problem.ts';
import { digestOf } from './read-bytes.ts';
import { settingsSchema } from './schema.ts';
import { type Settings, toSettings } from './settings.ts';
import { parseYamlSource } from './yaml-source.ts';

export type SettingsOutcome =
  | { readonly ok: true; readonly settings: Settings; readonly warnings: readonly FileProblem[] }
  | RefusedFile;

/**
 * Loads the settings of `file`. Without a file these are the embedded defaults: 127.0.0.1:8080 and a SQLite file in
 * `.switchboard/` of the working directory.
 */
export async function loadSettings(file: string | undefined, environment: Environment): Promise<SettingsOutcome> {
  if (file === undefined) {
    const document = settingsSchema.parse({});
    const values = { secrets: new Map(), tokens: new Map(), certificates: new Map(), positions: parseYamlSource('') };
    const source = { document, ...values, digest: digestOf(Buffer.alloc(0)), file };
    return { ok: true, settings: toSettings(source, environment), warnings: [] };
  }
  const outcome = await readConfigFile(file, environment.lookup);
  if (!outcome.ok) return outcome;
  return { ok: true, settings: toSettings({ ...outcome, file }, environment), warnings: outcome.warnings };
}
