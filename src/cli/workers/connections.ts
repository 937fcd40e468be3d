// Takes the connections of the ports and gives each to the worker that has the fewest. The ports are bound here, so they
// stay open whichever worker ends; what no worker takes waits.

import { type ConnectionSource, openPort } from '../../edge/port.ts';
import type { Address } from '../../settings/environment.ts';
import type { PortName } from './messages.ts';
import type { Pending, WorkerProcess } from './worker-process.ts';

/** On their way to a worker, or waiting for one. */
const MAX_WAITING = 20_000;

export class Connections {
  readonly #workers: () => Iterable<WorkerProcess>;
  readonly #ports = new Map<PortName, ConnectionSource>();
  #waiting: Pending[] = [];
  #given = 0;

  constructor(workers: () => Iterable<WorkerProcess>) {
    this.#workers = workers;
  }

  /** Throws `GatewayError` `invalid_argument` for an address that cannot be bound. */
  open(port: PortName, { host, port: number }: Address): Promise<Address> {
    // A connection that is read from could not be handed on whole.
    const source = openPort({ host, port: number, maxConnections: MAX_WAITING, pauseOnConnect: true });
    this.#ports.set(port, source);
    return source.open((socket) => this.#give({ socket, port }));
  }

  /** Takes no further ones; those that wait, or come back from a worker, are dropped. */
  close(port: PortName): void {
    this.#ports.get(port)?.close();
    this.#ports.delete(port);
    this.giveAgain([]);
  }

  /** Those that a worker has not taken, and those that wait: another worker accepts, or none will. */
  giveAgain(returned: readonly Pending[]): void {
    const due = [...returned, ...this.#waiting];
    this.#waiting = [];
    for (const connection of due) this.#give(connection);
  }

  #give(connection: Pending): void {
    if (!this.#ports.has(connection.port)) {
      connection.socket.destroy();
      return;
    }
    const worker = this.#choose(connection.port);
    if (worker === undefined) {
      this.#waiting.push(connection);
      return;
    }
    worker.lastGiven = ++this.#given;
    worker.give(connection);
  }

  /** One that is still starting answers 503, and gets a connection only where no other is. */
  #choose(port: PortName): WorkerProcess | undefined {
    let chosen: WorkerProcess | undefined;
    for (const worker of this.#workers()) {
      if (!worker.accepts(port)) continue;
      if (chosen === undefined || isBetter(worker, chosen)) chosen = worker;
    }
    return chosen;
  }
}

function isBetter(worker: WorkerProcess, other: WorkerProcess): boolean {
  if (worker.state !== other.state) return worker.state === 'ready';
  const more = worker.connections - other.connections;
  // In turn where they have as many, or whoever connects anew for every call would never see but one.
  return more === 0 ? worker.lastGiven < other.lastGiven : more < 0;
}
