// What is to be run for a choice of cells, and running it: several at once, but for what measures time.

import { runClientCell, runClientDirectly, runServerCell, runServerDirectly } from './cell-runs.ts';
import {
  CLIENT_CELLS,
  CLIENT_SCENARIOS,
  type ClientCell,
  isTimed,
  type Revision,
  SERVER_CELLS,
  type ServerCell,
} from './cells.ts';
import type { Suite } from './suite.ts';
import { type Check, matchesCell } from './verdicts.ts';

export interface Plan {
  readonly servers: readonly ServerCell[];
  readonly clients: readonly ClientCell[];
}

/** The checks of each cell by its name, and of what they are compared with by `directName`. */
export type Results = ReadonlyMap<string, readonly Check[]>;

interface Task {
  readonly name: string;
  /** Nothing else runs meanwhile. */
  readonly isAlone: boolean;
  readonly run: (suite: Suite) => Promise<Check[]>;
}

/** The cells whose names match. Throws when there are none. */
export function planCells(pattern: string): Plan {
  const servers = SERVER_CELLS.filter(({ name }) => matchesCell(pattern, name));
  const clients = CLIENT_CELLS.filter(({ name }) => matchesCell(pattern, name));
  if (servers.length + clients.length > 0) return { servers, clients };
  const names = [...SERVER_CELLS, ...CLIENT_CELLS].map(({ name }) => name);
  throw new Error(`No cell is called '${pattern}'. There are: ${names.join(', ')}.`);
}

export function directName(leg: 'server' | 'client', revision: Revision): string {
  return `direct ${leg} ${revision}`;
}

/** A cell whose run breaks has no checks, which its verdicts will say; `report` hears why. */
export async function runPlan(
  plan: Plan,
  suite: Suite,
  atOnce: number,
  report: (line: string) => void,
): Promise<Results> {
  const tasks = tasksOf(plan);
  const results = new Map<string, Check[]>(tasks.map(({ name }) => [name, []]));
  const work = async (queue: Iterator<Task>): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      const { name, run } = next.value;
      try {
        results.get(name)?.push(...(await run(suite)));
      } catch (error) {
        report(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  const together = tasks.filter(({ isAlone }) => !isAlone).values();
  await Promise.all(Array.from({ length: atOnce }, () => work(together)));
  await work(tasks.filter(({ isAlone }) => isAlone).values());
  return results;
}

function tasksOf({ servers, clients }: Plan): Task[] {
  const serverTask = (name: string, run: Task['run']): Task => ({ name, isAlone: false, run });
  const clientTasks = (name: string, revision: Revision, run: (suite: Suite, scenario: string) => Promise<Check[]>) =>
    CLIENT_SCENARIOS[revision].map(
      (scenario): Task => ({ name, isAlone: isTimed(scenario), run: (suite) => run(suite, scenario) }),
    );
  return [
    ...revisionsOf(servers).map((revision) =>
      serverTask(directName('server', revision), (suite) => runServerDirectly(suite, revision)),
    ),
    ...servers.map((cell) => serverTask(cell.name, (suite) => runServerCell(suite, cell))),
    ...revisionsOf(clients).flatMap((revision) =>
      clientTasks(directName('client', revision), revision, (suite, scenario) =>
        runClientDirectly(suite, revision, scenario),
      ),
    ),
    ...clients.flatMap((cell) =>
      clientTasks(cell.name, cell.revision, (suite, scenario) => runClientCell(suite, cell, scenario)),
    ),
  ];
}

export function revisionsOf(cells: readonly { readonly revision: Revision }[]): Revision[] {
  return [...new Set(cells.map(({ revision }) => revision))];
}
