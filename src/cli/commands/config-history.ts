// Before and after an edit of an McpConfig: what it would change, what was changed, and the way back.

import { Argument, Option } from 'commander';
import { parseCount } from '../arguments.ts';
import { paint, toLine, toText, toTime } from '../output.ts';
import type { View } from '../rest-client.ts';
import { restCommand } from '../rest-command.ts';
import { fieldOptions, toBody } from './configs.ts';
import { ID_OR_NAME, listed, type MatchOptions, matchOption, pathOf, written } from './shared.ts';

const LIST = 'mcp-configs';

export const preview = restCommand<Parameters<typeof toBody>[0] & { readonly secret?: string }>({
  usage: 'preview',
  about: 'Say what an edit of an McpConfig, or a new one, would give and take, without saving it.',
  arguments: [new Argument('[id-or-name]', 'the McpConfig to edit; none for a new one')],
  options: [...fieldOptions(false), new Option('--secret <name>', 'secret to ask the upstream for its tools with')],
  examples: [
    "switchboard preview github-readonly --allowed-tools 'get_*,delete_*'",
    "switchboard preview --name wiki --endpoint https://wiki.example.com/mcp --allowed-tools '*' --secret WIKI_KEY",
  ],
  run: async ({ client, args: [id], options }) => {
    const path = id === undefined ? '/mcp-configs/preview' : pathOf(LIST, id, '/preview');
    const secret = options.secret === undefined ? {} : { secret: options.secret };
    const view = await client.post(path, { ...toBody(options), ...secret });
    return { view, text: toPreviewText(view) };
  },
});

interface Admitted {
  readonly name: string;
  readonly pattern: string;
}

function toPreviewText(view: View): string {
  const list = view.list as View;
  const credential = list.secret === null ? 'without a secret' : `with the secret ${list.secret}`;
  const tokens = (view.tokens as readonly View[]).map((each) => `${each.name} ${toEffect(each)}`);
  return [
    ...toGroup('tools', view),
    ...['prompts', 'resources'].flatMap((what) =>
      isOfAny(view[what] as View) ? toGroup(what, view[what] as View) : [],
    ),
    `tokens  ${tokens.length === 0 ? 'none' : tokens.join(', ')}`,
    `list    ${toText(list.source)}, ${credential}${list.fetched_at === null ? '' : `, of ${list.fetched_at}`}`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

function toGroup(what: string, view: View): string[] {
  return [
    ...(view.appear as readonly Admitted[]).map(
      (each) => `${paint('green', `+ ${toLine(each.name)}`)}  by '${each.pattern}'`,
    ),
    ...(view.disappear as readonly Admitted[]).map(
      (each) => `${paint('red', `- ${toLine(each.name)}`)}  was by '${each.pattern}'`,
    ),
    `${what.padEnd(7)} ${toEffect(view)}, ${view.unchanged_count} unchanged`,
  ];
}

/** Most configs allow neither prompts nor resources, and are spared the lines. */
function isOfAny({ appear_count: added, disappear_count: removed, unchanged_count: unchanged }: View): boolean {
  return Number(added) + Number(removed) + Number(unchanged) > 0;
}

/** `+2 −1`, of a preview or of one token in it. */
function toEffect({ appear_count: added, disappear_count: removed }: View): string {
  return `+${added} −${removed}`;
}

export const history = restCommand<{ readonly limit?: number }>({
  usage: 'history',
  about: 'The revisions of an McpConfig, newest first: who, when, and what each gave and took.',
  arguments: [ID_OR_NAME],
  options: [new Option('--limit <count>', 'most to show; 20 unless told').argParser(parseCount)],
  examples: ['switchboard history github-readonly', 'switchboard history github-readonly --limit 100 -o json'],
  run: async ({ client, args: [id], options }) => {
    const view = await client.get(pathOf(LIST, id, '/history'), { limit: options.limit });
    const revisions = view.revisions as readonly View[];
    const outcome = listed(revisions, (each) => ({
      revision: toText(each.revision),
      time: toTime(each.time_ms),
      by: toText((each.actor as View).name),
      action: toText(each.action),
      effect: toText((each.effect as View).summary),
      fields: toText(each.changed_fields),
    }));
    return { ...outcome, ...(view.has_more === true ? { note: 'There are older ones: see --limit.\n' } : {}) };
  },
});

export const diffRevisions = restCommand<{ readonly from?: number; readonly to?: number }>({
  usage: 'diff',
  about: 'What changed in an McpConfig between two revisions; in the newest one, unless told.',
  arguments: [ID_OR_NAME],
  options: [
    new Option('--from <revision>', 'the one before --to, unless told').argParser(parseCount),
    new Option('--to <revision>', 'the newest, unless told').argParser(parseCount),
  ],
  examples: ['switchboard configs diff github-readonly', 'switchboard configs diff github-readonly --from 1 --to 4'],
  run: async ({ client, args: [id], options: { from, to } }) => {
    const view = await client.get(pathOf(LIST, id, '/diff'), { from, to });
    const lines = (view.fields as readonly View[]).flatMap(({ field, before, after }) => [
      toLine(String(field)),
      `  ${paint('red', `- ${toLine(toText(before))}`)}`,
      `  ${paint('green', `+ ${toLine(toText(after))}`)}`,
    ]);
    const text = lines.map((line) => `${line}\n`).join('');
    return { view, text, note: `revision ${view.from ?? 'none'} → ${view.to}\n` };
  },
});

export const revert = restCommand<MatchOptions>({
  usage: 'revert',
  about:
    'Make an McpConfig what it was at an earlier revision, deleted ones by their id included. It is a new revision.',
  arguments: [ID_OR_NAME, new Argument('<revision>', 'number of the revision').argParser(parseCount)],
  options: [matchOption()],
  examples: ['switchboard revert github-readonly 3', 'switchboard revert github-readonly 3 --if-match 5'],
  run: async ({ client, args: [id, revision], options }) =>
    written(await client.post(pathOf(LIST, id, '/revert'), { revision: Number(revision) }, options.ifMatch)),
});
