// The tools, prompts and resources that each step of a plan would give and take, as the gateway's own preview says.

import { GatewayError } from '../../domain/errors.ts';
import type { RestClient, View } from '../rest-client.ts';
import type { Account } from './account.ts';
import type { DeclaredFile } from './declared-file.ts';
import type { Step } from './plan.ts';

export interface ListEffect {
  readonly appear: readonly string[];
  readonly disappear: readonly string[];
  readonly appear_count: number;
  readonly disappear_count: number;
}

/** Of tools, and beside them of prompts and resources. */
export interface ToolEffect extends ListEffect {
  readonly prompts: ListEffect;
  readonly resources: ListEffect;
  /** Why nobody can say. */
  readonly problem: string | null;
  /** Grants that the step would suspend. */
  readonly suspends: readonly View[];
  /** What else an operator should know before the step is done, as lines. */
  readonly warnings: readonly string[];
}

/** Of a config that is made or changed; one after the other, for a preview may ask an upstream. */
export async function previewSteps(
  client: RestClient,
  steps: readonly Step[],
  file: DeclaredFile,
  account: Account,
): Promise<ReadonlyMap<Step, ToolEffect>> {
  const effects = new Map<Step, ToolEffect>();
  for (const step of steps) {
    if (step.kind === 'mcp_config' && step.action !== 'delete')
      effects.set(step, await preview(client, step, file, account));
  }
  return effects;
}

async function preview(
  client: RestClient,
  { action, name, path, body }: Step,
  { document }: DeclaredFile,
  account: Account,
): Promise<ToolEffect> {
  const grants = document.tokens.flatMap((token) => token.grants.filter(({ mcp_config: config }) => config === name));
  const secret = grants.find((grant) => grant.secret !== undefined && account.secret.has(grant.secret))?.secret;
  try {
    return toEffect(
      await client.post(`${path}/preview`, { ...body, ...(action === 'create' && secret && { secret }) }),
    );
  } catch (error) {
    // A config that names a secret of the same file cannot be asked about before the secret is there.
    if (!(error instanceof GatewayError)) throw error;
    return { ...NOTHING, prompts: NOTHING, resources: NOTHING, problem: error.message, suspends: [], warnings: [] };
  }
}

const NOTHING: ListEffect = { appear: [], disappear: [], appear_count: 0, disappear_count: 0 };

function toEffect(view: View): ToolEffect {
  const list = view.list as View;
  const warnings = (view.warnings as readonly View[]).map(({ path, message }) => `${path} ${message}`);
  const isUnknown = list.source === 'none';
  return {
    ...toListEffect(view),
    prompts: toListEffect(view.prompts as View),
    resources: toListEffect(view.resources as View),
    problem: isUnknown ? String(list.problem ?? 'its upstream was never seen') : null,
    suspends: view.suspends as readonly View[],
    // Why the list is not known is its problem, and not said twice.
    warnings: isUnknown ? warnings.filter((each) => !each.endsWith(String(list.problem))) : warnings,
  };
}

function toListEffect(view: View): ListEffect {
  const namesOf = (key: string): string[] => (view[key] as readonly View[]).map(({ name }) => String(name));
  return {
    appear: namesOf('appear'),
    disappear: namesOf('disappear'),
    appear_count: Number(view.appear_count),
    disappear_count: Number(view.disappear_count),
  };
}
