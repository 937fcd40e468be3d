// `switchboard check`: everything that is wrong with a config file, at its place.

import { renderEffective } from '../settings/effective.ts';
import { requireServable } from './settings-or-exit.ts';

export async function check(file: string, options: { effective?: boolean }): Promise<void> {
  const settings = await requireServable(file);
  if (options.effective) {
    process.stdout.write(renderEffective(settings));
    return;
  }
  const { secrets, mcpConfigs, tokens } = settings.declared;
  process.stdout.write(
    `${file} is good: ${mcpConfigs.length} McpConfigs, ${secrets.length} secrets, ${tokens.length} tokens.\n`,
  );
}
