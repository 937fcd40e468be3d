// The configuration of an account as a file, as an operation of the control plane.

import * as z from 'zod';
import { certificatesOf, toYaml } from './export-yaml.ts';
import { NOTHING, type Operation, read } from './operation.ts';
import type { UseCaseDeps } from './use-case.ts';

export function exportOperations(deps: Pick<UseCaseDeps, 'store'>): Operation[] {
  return [
    read({
      name: 'exportConfig',
      tag: 'decisions',
      summary: 'The McpConfigs, secrets (without values) and tokens of the account as a config file.',
      method: 'get',
      path: '/export',
      role: 'viewer',
      query: NOTHING,
      body: NOTHING,
      view: z.object({
        yaml: z.string().describe('A config file; each `value_from` names a variable to be set.'),
        certificates: z
          .array(z.object({ path: z.string(), pem: z.string() }))
          .describe('The certificates that it names, to be written beside it.'),
      }),
      run: async ({ operator }) => {
        const configuration = await deps.store.readConfiguration(operator.accountId);
        return { yaml: await toYaml(configuration), certificates: certificatesOf(configuration) };
      },
    }),
  ];
}
