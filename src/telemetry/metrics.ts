// Counters, gauges and histograms in the Prometheus text format. A registry of our own, because a handle is resolved
// ahead of the call: counting is then one typed-array add, where the usual library hashes the labels every time.

import { GatewayError } from '../domain/errors.ts';
import { type FamilySnapshot, formatNumber, type Sample } from './metrics-snapshot.ts';

/** Tool names come from upstreams, so the number of series is theirs to choose but for this. */
const MAX_SERIES = 10_000;
const OTHER = 'other';

/** One name per label value: `LabelNames<[service: string, outcome: 'ok' | 'failed']>` takes two names. */
type LabelNames<V extends readonly string[]> = { readonly [K in keyof V]: string };

/** One series of a counter or gauge. */
class Cell {
  readonly #value = new Float64Array(1);

  add(amount = 1): void {
    this.#value[0] = (this.#value[0] ?? 0) + amount;
  }

  set(value: number): void {
    this.#value[0] = value;
  }

  samples(labels: string): readonly Sample[] {
    return [['', labels, this.#value[0] ?? 0]];
  }
}

/** One series of a histogram: how many observations fell into each bucket, and their sum. */
class Buckets {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  readonly #sum = new Float64Array(1);

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] ?? Infinity)) index++;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum[0] = (this.#sum[0] ?? 0) + value;
  }

  samples(labels: string): readonly Sample[] {
    let count = 0;
    const buckets = Array.from(this.#counts, (inBucket, index): Sample => {
      count += inBucket;
      const bound = formatNumber(this.#bounds[index] ?? Infinity);
      return ['_bucket', `${labels === '' ? '' : `${labels},`}le="${bound}"`, count];
    });
    return [...buckets, ['_sum', labels, this.#sum[0] ?? 0], ['_count', labels, count]];
  }
}

export type Counter = Pick<Cell, 'add'>;
export type Gauge = Pick<Cell, 'add' | 'set'>;
export type Histogram = Pick<Buckets, 'observe'>;

interface FamilyOptions<S> {
  readonly name: string;
  readonly help: string;
  readonly type: FamilySnapshot['type'];
  readonly labelNames: readonly string[];
  readonly createSeries: () => S;
}

/** All series of one metric. `V` is the tuple of its label values, `H` what a caller may do with one series. */
class Family<V extends readonly string[], H, S extends H & { samples(labels: string): readonly Sample[] }> {
  readonly #options: FamilyOptions<S>;
  readonly #series = new Map<string, S>();

  constructor(options: FamilyOptions<S>) {
    this.#options = options;
  }

  /** The handle of one series; resolve it once and keep it. Past 10,000 series it is the one whose labels are all `other`. */
  labels(...values: V): H {
    const labels = this.#formatLabels(values);
    if (this.#series.has(labels) || this.#series.size < MAX_SERIES) return this.#seriesOf(labels);
    return this.#seriesOf(this.#formatLabels(values.map(() => OTHER)));
  }

  snapshot(): FamilySnapshot {
    const { name, help, type } = this.#options;
    const samples = [...this.#series].flatMap(([labels, series]) => series.samples(labels));
    return { name, help, type, samples };
  }

  protected clear(): void {
    this.#series.clear();
  }

  #seriesOf(labels: string): S {
    let series = this.#series.get(labels);
    if (series === undefined) {
      series = this.#options.createSeries();
      this.#series.set(labels, series);
    }
    return series;
  }

  #formatLabels(values: readonly string[]): string {
    return this.#options.labelNames.map((name, index) => `${name}="${escapeLabel(values[index] ?? '')}"`).join(',');
  }
}

/** A gauge that is set as things happen, or, after `collect`, one that is read when scraped. */
class GaugeSeries<V extends readonly string[]> extends Family<V, Gauge, Cell> {
  #read: ((family: GaugeFamily<V>) => void) | undefined;

  /** `read` sets every series anew at each scrape; what it does not set is gone, so a service that left leaves no series. */
  collect(read: (family: GaugeFamily<V>) => void): void {
    this.#read = read;
  }

  override snapshot(): FamilySnapshot {
    if (this.#read !== undefined) {
      this.clear();
      this.#read(this);
    }
    return super.snapshot();
  }
}

export type CounterFamily<V extends readonly string[]> = Pick<Family<V, Counter, Cell>, 'labels'>;
export type GaugeFamily<V extends readonly string[]> = Pick<GaugeSeries<V>, 'labels' | 'collect'>;
export type HistogramFamily<V extends readonly string[]> = Pick<Family<V, Histogram, Buckets>, 'labels'>;

/** The registry. Names are given without the `switchboard_` prefix; a family without labels has one series, `labels()`. */
export class Metrics {
  readonly #families = new Map<string, { snapshot(): FamilySnapshot }>();

  counter<V extends readonly string[] = []>(
    name: string,
    help: string,
    ...labelNames: LabelNames<V>
  ): CounterFamily<V> {
    const createSeries = () => new Cell();
    return this.#add(name, new Family<V, Counter, Cell>({ name, help, type: 'counter', labelNames, createSeries }));
  }

  gauge<V extends readonly string[] = []>(name: string, help: string, ...labelNames: LabelNames<V>): GaugeFamily<V> {
    const createSeries = () => new Cell();
    return this.#add(name, new GaugeSeries<V>({ name, help, type: 'gauge', labelNames, createSeries }));
  }

  /** `bounds` are the ascending upper bounds of the buckets, without +Inf. */
  histogram<V extends readonly string[] = []>(
    name: string,
    help: string,
    bounds: readonly number[],
    ...labelNames: LabelNames<V>
  ): HistogramFamily<V> {
    const createSeries = () => new Buckets(bounds);
    return this.#add(
      name,
      new Family<V, Histogram, Buckets>({ name, help, type: 'histogram', labelNames, createSeries }),
    );
  }

  /** What every family stands at now. */
  snapshot(): FamilySnapshot[] {
    return Array.from(this.#families.values(), (family) => family.snapshot());
  }

  #add<F extends { snapshot(): FamilySnapshot }>(name: string, family: F): F {
    if (this.#families.has(name)) throw new GatewayError('internal', `The metric ${name} is declared twice.`);
    this.#families.set(name, family);
    return family;
  }
}

function escapeLabel(value: string): string {
  return value.toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
