// `diff` and `apply`: reads the file and the account, plans, says what each step would do to tools, and does it.

import { GatewayError } from '../../domain/errors.ts';
import { toLine } from '../output.ts';
import type { RestClient, View } from '../rest-client.ts';
import type { Outcome } from '../rest-command.ts';
import { readAccount } from './account.ts';
import { type DeclaredFile, readDeclaredFile } from './declared-file.ts';
import { makePlan, type Plan, type PlanOptions, type Step } from './plan.ts';
import { titleOf, toStepText, toStuckText } from './plan-text.ts';
import { previewSteps, type ToolEffect } from './tool-effect.ts';

export interface ApplyOptions {
  readonly dryRun?: boolean;
  readonly prune?: boolean;
  readonly updateSecrets?: boolean;
}

/** Exit code 3 when anything differs. Throws `FileError`, and `GatewayError` where the gateway refuses. */
export async function diffFile(client: RestClient, file: string): Promise<Outcome> {
  const { plan, preview } = await readBoth(client, file, { prune: true, updateSecrets: false });
  const outcome = render(plan, await preview(), ' (only there)');
  return isEmpty(plan) ? { ...outcome, note: 'Nothing differs.\n' } : { ...outcome, exitCode: 3 };
}

/**
 * Prints the same, done or only planned. Exit code 1 when something that is declared is not for this command to write.
 * Throws as `diffFile` does.
 */
export async function applyFile(client: RestClient, file: string, options: ApplyOptions): Promise<Outcome> {
  const { prune = false, updateSecrets = false, dryRun = false } = options;
  const { plan, declared, preview } = await readBoth(client, file, { prune, updateSecrets });
  // Before anything is written: a variable that is not set must not leave half of a file applied.
  const bodies = plan.steps.map((step) => toBody(step, declared));
  const outcome = render(plan, await preview());
  if (!dryRun) await carryOut(client, plan.steps, bodies);
  if (isEmpty(plan)) return { ...outcome, note: 'Nothing to do.\n' };
  return plan.stuck.length === 0 ? outcome : { ...outcome, exitCode: 1 };
}

interface Both {
  readonly plan: Plan;
  readonly declared: DeclaredFile;
  readonly preview: () => Promise<ReadonlyMap<Step, ToolEffect>>;
}

async function readBoth(client: RestClient, file: string, options: PlanOptions): Promise<Both> {
  const declared = await readDeclaredFile(file);
  const account = await readAccount(client);
  const plan = makePlan(declared, account, options);
  for (const line of plan.unseen) process.stderr.write(`warning: ${line}\n`);
  const left = plan.left.map(({ kind, name }) => `${kind} ${name}`).join(', ');
  if (left !== '') process.stderr.write(`Left to the config file of the gateway: ${left}\n`);
  return { plan, declared, preview: () => previewSteps(client, plan.steps, declared, account) };
}

function isEmpty({ steps, stuck }: Plan): boolean {
  return steps.length + stuck.length === 0;
}

function render(
  { steps, stuck, left }: Plan,
  effects: ReadonlyMap<Step, ToolEffect>,
  remarkOnDeletion = '',
): Pick<Outcome, 'view' | 'text'> {
  const texts = steps.map((step) =>
    toStepText(step, effects.get(step), step.action === 'delete' ? remarkOnDeletion : ''),
  );
  const shown = steps.map((step) => {
    const { action, kind, name, changes } = step;
    return { action, kind, name, changes, tools: effects.get(step) ?? null };
  });
  return { view: { steps: shown, stuck, left }, text: [...texts, ...stuck.map(toStuckText)].join('') };
}

function toBody({ kind, name, body, hasValue }: Step, declared: DeclaredFile): object {
  if (!hasValue) return body;
  const list = kind === 'secret' ? 'secrets' : 'tokens';
  const index = declared.document[list].findIndex((each) => each.name === name);
  return { ...body, value: declared.valueOf(list, index) };
}

/** Throws at the first step that is refused, saying what was done by then. */
async function carryOut(client: RestClient, steps: readonly Step[], bodies: readonly object[]): Promise<void> {
  for (const [index, step] of steps.entries()) {
    try {
      const { warnings = [] } = await client.post(step.path, bodies[index], step.ifMatch);
      for (const { path, message } of warnings as readonly View[])
        process.stderr.write(`warning: ${titleOf(step)}: ${toLine(`${path} ${message}`)}\n`);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      const done = steps.slice(0, index).map(titleOf).join(', ') || 'nothing';
      const message = `Stopped at ${titleOf(step)}. ${error.message} Done before: ${done}. What is left: see diff.`;
      throw new GatewayError(error.code, message, { cause: error });
    }
  }
}
