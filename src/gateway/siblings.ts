// What the processes on one port ask one another, from both ends.

import type { ConfigurationInForce } from '../catalog/configuration-in-force.ts';
import type { ClientNotices } from '../data-plane/client-notices.ts';
import type { SiblingDoor, Siblings } from '../data-plane/siblings.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Question, WorkerPlace } from './worker-place.ts';

/** The others as the data plane sees them. */
export function toSiblings(door: SiblingDoor, worker: WorkerPlace): Siblings {
  return {
    index: door.index,
    owns: (sessionId) => door.owns(sessionId),
    handOver: (...handed) => door.handOver(...handed),
    async countCalls(call) {
      const counts = await worker.ask({ ask: 'count_calls', call });
      return counts.reduce<number>((sum, count) => sum + Number(count), 0);
    },
    cancelCall(call) {
      // The call that was meant may have ended by itself, and so may its process.
      worker.ask({ ask: 'cancel_call', call }).catch(() => undefined);
    },
  };
}

export interface Answering {
  readonly telemetry: Telemetry;
  readonly configuration: ConfigurationInForce;
  readonly notices: ClientNotices;
}

/** The answer of this process, as plain data. */
export async function answerSibling(
  question: Question,
  { telemetry, configuration, notices }: Answering,
): Promise<unknown> {
  switch (question.ask) {
    case 'metrics':
      return telemetry.metrics.snapshot();
    case 'refresh':
      return configuration.refresh();
    case 'count_calls':
      return notices.count(question.call);
    case 'cancel_call':
      return notices.cancel(question.call);
  }
}
