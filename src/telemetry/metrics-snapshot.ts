// What the metrics of one process stood at, as plain data: written as Prometheus text, and added up over processes.

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** `labels` as they are written between braces. */
export type Sample = readonly [nameSuffix: string, labels: string, value: number];

/** All series of one metric. The name is without `switchboard_`. */
export interface FamilySnapshot {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly Sample[];
}

/** Gauges of which the sum over processes means nothing: the one that an operator must see stands for all. */
const LOWEST = new Set(['config_last_reload_ok', 'epoch']);
const HIGHEST = new Set(['audit_failing', 'build_info', 'loop_utilization', 'overloaded']);
/** Of one metric over all processes; what comes behind is left out. */
const MAX_SAMPLES = 40_000;

const PREFIX = 'switchboard_';

/** In the Prometheus text format 0.0.4. */
export function renderMetrics(families: readonly FamilySnapshot[]): string {
  return families.map(renderFamily).join('');
}

function renderFamily({ name, help, type, samples }: FamilySnapshot): string {
  const full = PREFIX + name;
  const lines = [`# HELP ${full} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${full} ${type}`];
  for (const [suffix, labels, value] of samples) {
    lines.push(`${full}${suffix}${labels === '' ? '' : `{${labels}}`} ${formatNumber(value)}`);
  }
  return `${lines.join('\n')}\n`;
}

export function formatNumber(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}

/** What several processes are together. Each snapshot is that of one of them, and may lack families. */
export function addUp(snapshots: readonly (readonly FamilySnapshot[])[]): FamilySnapshot[] {
  const families = new Map<string, { family: FamilySnapshot; samples: Map<string, Sample> }>();
  for (const family of snapshots.flat()) {
    const { name, samples } = family;
    const known = families.get(name) ?? { family, samples: new Map<string, Sample>() };
    families.set(name, known);
    for (const sample of samples) add(known.samples, name, sample);
  }
  return [...families.values()].map(({ family, samples }) => ({ ...family, samples: [...samples.values()] }));
}

function add(sums: Map<string, Sample>, name: string, [suffix, labels, value]: Sample): void {
  const key = `${suffix}{${labels}`;
  const before = sums.get(key)?.[2];
  if (before === undefined && sums.size >= MAX_SAMPLES) return;
  sums.set(key, [suffix, labels, before === undefined ? value : combine(name, before, value)]);
}

function combine(name: string, a: number, b: number): number {
  if (LOWEST.has(name)) return Math.min(a, b);
  return HIGHEST.has(name) ? Math.max(a, b) : a + b;
}

/** What has been counted, which stays counted when its process has ended. */
export function countedOf(families: readonly FamilySnapshot[]): FamilySnapshot[] {
  return families.filter(({ type }) => type !== 'gauge');
}
