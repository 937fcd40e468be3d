// Every command over REST, in the order in which help shows them.

import type { Command } from 'commander';
import { addGroup, addRestCommand } from '../rest-command.ts';
import { diffRevisions, history, preview, revert } from './config-history.ts';
import { configGroup } from './configs.ts';
import { apply, diff, exportFile } from './files.ts';
import { audit, catalog, explain, issues } from './insight.ts';
import { keyGroup } from './keys.ts';
import { secretGroup } from './secrets.ts';
import { tokenGroup } from './tokens.ts';

/** The command `audit`, to which others are added that work on its files. */
export function addRestCommands(program: Command): { readonly audit: Command } {
  for (const group of [configGroup([preview, history, diffRevisions, revert]), secretGroup, tokenGroup, keyGroup]) {
    addGroup(program, group);
  }
  for (const command of [explain, preview, issues, catalog, history, revert, diff, apply, exportFile]) {
    addRestCommand(program, command);
  }
  return { audit: addRestCommand(program, audit) };
}
