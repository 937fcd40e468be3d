// The metrics of all workers together. What one had counted when it was last asked stays counted when it has ended, so that
// no counter goes back.

import type { Question } from '../../gateway/worker-place.ts';
import { addUp, countedOf, type FamilySnapshot } from '../../telemetry/metrics-snapshot.ts';
import type { WorkerProcess } from './worker-process.ts';

const METRICS: Question = { ask: 'metrics' };

export class Counted {
  readonly #last = new Map<WorkerProcess, readonly FamilySnapshot[]>();
  #ofEnded: readonly FamilySnapshot[] = [];

  async read(workers: Iterable<WorkerProcess>): Promise<readonly FamilySnapshot[]> {
    await Promise.all(
      Array.from(workers, async (worker) => {
        const answer = await worker.ask(METRICS);
        if (answer !== undefined && worker.state !== 'ended') this.#last.set(worker, answer as FamilySnapshot[]);
      }),
    );
    return addUp([...this.#last.values(), this.#ofEnded]);
  }

  onEnd(worker: WorkerProcess): void {
    const last = this.#last.get(worker);
    this.#last.delete(worker);
    if (last !== undefined) this.#ofEnded = addUp([this.#ofEnded, countedOf(last)]);
  }
}
