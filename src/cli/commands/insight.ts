// What the running gateway knows: why a tool is hidden, what a token sees, what is wrong, and who did what.

import { Argument, Option } from 'commander';
import { ACTIONS, OBJECT_KINDS } from '../../domain/revision.ts';
import { parseCount, parsePastDate } from '../arguments.ts';
import { paint, toLine, toTable, toText, toTime } from '../output.ts';
import type { View } from '../rest-client.ts';
import { type Outcome, restCommand } from '../rest-command.ts';
import { listed } from './shared.ts';

interface ExplainOptions {
  readonly token: string;
  readonly prompt?: string;
  readonly resource?: string;
}

export const explain = restCommand<ExplainOptions>({
  usage: 'explain',
  about: 'Ask a running gateway why a tool, a prompt or a resource is shown, hidden or routed where it is.',
  arguments: [new Argument('[tool]', 'name of the tool, as a client would call it')],
  options: [
    new Option('--token <name>', 'name or id of the token (never its value)').makeOptionMandatory(),
    new Option('--prompt <name>', 'a prompt in the place of a tool'),
    new Option('--resource <uri>', 'a resource, or a URI template, in the place of a tool'),
  ],
  examples: [
    'switchboard explain everything.get-env --token demo',
    'switchboard explain --resource file:///docs/a.md --token devbox-ci -o json',
  ],
  run: async ({ client, args: [tool], options: { token, prompt, resource } }) => {
    const view = await client.get('/explain', { tool, prompt, resource, token });
    const steps = (view.steps as readonly string[]).map((step) => `  - ${step}`);
    const suggestion = view.suggestion === null ? [] : [`To admit it: ${view.suggestion}`];
    const lines = [String(view.verdict), ...steps, ...suggestion];
    return { view, text: lines.map((line) => `${toLine(line)}\n`).join('') };
  },
});

export const issues = restCommand<{ readonly failOn?: 'error' | 'warning' }>({
  usage: 'issues',
  about: 'What is wrong with the configuration or probably not meant, the worst first, each with what to do.',
  options: [new Option('--fail-on <severity>', 'exit 1 if there is one as bad as this').choices(['error', 'warning'])],
  examples: ['switchboard issues', 'switchboard issues --fail-on error -o json'],
  run: async ({ client, options: { failOn } }) => {
    const view = await client.get('/issues');
    const found = view.issues as readonly View[];
    const failing = failOn === 'warning' ? ['error', 'warning'] : failOn === 'error' ? ['error'] : [];
    const isFailing = found.some(({ severity }) => failing.includes(String(severity)));
    const note = found.length === 0 ? { note: 'none\n' } : {};
    return { view, text: found.map(toIssueText).join(''), ...note, ...(isFailing ? { exitCode: 1 } : {}) };
  },
});

function toIssueText({ severity, code, object, message, remedy }: View): string {
  const { kind, name } = object as View;
  const head = paint(severity === 'error' ? 'red' : severity === 'warning' ? 'yellow' : 'bold', String(severity));
  return `${head} ${toLine(`${kind} ${name}: ${message} (${code})`)}\n  ${toLine(String(remedy))}\n`;
}

interface CatalogOptions {
  readonly token: string;
  readonly kind: 'tools' | 'prompts' | 'resources';
  readonly search?: string;
  readonly limit?: number;
}

export const catalog = restCommand<CatalogOptions>({
  usage: 'catalog',
  about: 'What a token sees, which config and pattern decide it, and what listing it costs an agent in context.',
  options: [
    new Option('--token <name>', 'name or id of the token (never its value)').makeOptionMandatory(),
    new Option('--kind <kind>', 'what to list').choices(['tools', 'prompts', 'resources']).default('tools'),
    new Option('--search <text>', 'a name, the URI or the description holds this'),
    new Option('--limit <count>', 'most to show; all of them unless told').argParser(parseCount),
  ],
  examples: ['switchboard catalog --token devbox-ci', 'switchboard catalog --token devbox-ci --search issue -o json'],
  run: async ({ client, options: { token, kind, search, limit = 5_000 } }) => {
    const view = await client.get('/catalog', { token, kind, search, limit });
    const rows = (view[kind] as readonly View[]).map((each) => toCatalogRow(kind, each));
    const totals = view.totals as View;
    const troubled = (view.upstreams as readonly View[]).map(
      (each) =>
        `upstream of ${each.mcp_config} is ${each.state}${each.reason === undefined ? '' : ` (${each.reason})`}\n`,
    );
    const counts = `${totals.prompts} prompts, ${totals.resources} resources`;
    const note = `${totals.tools} tools, about ${totals.context_tokens} tokens of context; ${counts}\n${troubled.join('')}`;
    return { view, text: toTable(rows), note };
  },
});

function toCatalogRow(kind: CatalogOptions['kind'], listed: View): Record<string, string> {
  const config = listed.mcp_config as View;
  const { pattern, narrowing_pattern: narrowing = null } = listed;
  return {
    [kind.slice(0, -1)]: toText(kind === 'resources' ? listed.uri : listed.name),
    config: `${config.name}@${config.revision}`,
    pattern: narrowing === null ? toText(pattern) : `${pattern} and ${narrowing}`,
    ...(kind === 'tools' ? { context_tokens: toText(listed.context_tokens) } : {}),
    upstream: toText((listed.upstream as View).state),
  };
}

interface AuditOptions {
  readonly kind: 'changes' | 'calls';
  /** Milliseconds since 1970. */
  readonly since?: number;
  readonly until?: number;
  readonly objectKind?: string;
  readonly objectId?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly token?: string;
  readonly tool?: string;
  readonly service?: string;
  readonly outcome?: string;
  readonly mcpConfig?: string;
  readonly limit: number;
}

export const audit = restCommand<AuditOptions>({
  usage: 'audit',
  about: 'Who changed what, or who called what and by whose decision, newest first.',
  options: [
    new Option('--kind <kind>', 'which record').choices(['changes', 'calls']).default('changes'),
    new Option('--since <time>', 'not before: a date, or how long ago, as 12h').argParser(parsePastDate),
    new Option('--until <time>', 'before: a date, or how long ago').argParser(parsePastDate),
    new Option('--object-kind <kind>', 'changes of such objects').choices(OBJECT_KINDS),
    new Option('--object-id <id>', 'changes of this object'),
    new Option('--actor <id>', 'changes by this API key'),
    new Option('--action <action>', 'changes of this sort').choices(ACTIONS),
    new Option('--token <id>', 'calls of this token'),
    new Option('--tool <name>', 'calls of this tool, as service.tool'),
    new Option('--service <name>', 'calls of this service'),
    new Option('--outcome <outcome>', 'calls that ended so, as answered'),
    new Option('--mcp-config <config>', 'calls decided by this config: id, name or name@revision'),
    new Option('--limit <count>', 'most to show').argParser(parseCount).default(100),
  ],
  examples: ['switchboard audit --since 7d', 'switchboard audit --kind calls --tool github.search_issues --limit 20'],
  run: async ({ client, options }): Promise<Outcome> => {
    const { kind, since, until, objectKind, objectId, actor, action, token, tool, service, outcome, limit } = options;
    const filters = { since_ms: since, until_ms: until, object_kind: objectKind, object_id: objectId, actor_id: actor };
    const query = { kind, ...filters, action, token, tool, service, outcome, config: options.mcpConfig };
    const records: View[] = [];
    let next: unknown;
    do {
      const page = { limit: Math.min(1_000, limit - records.length), starting_after: next as string | undefined };
      const view = await client.get('/audit', { ...query, ...page });
      records.push(...(view[kind] as readonly View[]));
      next = view.next ?? undefined;
    } while (next !== undefined && records.length < limit);
    const isLeft = next === undefined ? {} : { note: 'There are older ones: see --limit.\n' };
    return { ...listed(records, kind === 'changes' ? toChangeRow : toCallRow), ...isLeft };
  },
});

function toChangeRow(change: View): Record<string, string> {
  const object = change.object as View;
  return {
    time: toTime(change.time_ms),
    by: toText((change.actor as View).name),
    action: toText(change.action),
    object: `${object.kind} ${object.name}@${object.revision}`,
    effect: toText((change.effect as View).summary),
  };
}

/** A record may say instead how many are missing at its place. */
function toCallRow(call: View): Record<string, string> {
  const missing = call.dropped ?? call.refused;
  return {
    time: toText(call.time),
    token: toText(call.token),
    tool: toText(call.tool),
    config: toText(call.config),
    pattern: toText(call.pattern),
    outcome: missing === undefined ? toText(call.outcome) : `${missing} not recorded`,
    reason: toText(call.reason),
    ms: toText(call.ms),
  };
}
