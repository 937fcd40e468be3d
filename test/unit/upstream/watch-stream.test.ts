import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Dispatcher } from 'undici';
import { WatchStream } from '../../../src/upstream/watch-stream.ts';

/** How many bytes are taken of what is sent over and over, in chunks as they come from a socket, before it is paused. */
function takenOf(event: string): number {
  let [isPaused, taken] = [false, 0];
  const controller = {
    pause: () => {
      isPaused = true;
    },
    abort: () => undefined,
  } as unknown as Dispatcher.DispatchController;
  const stream = new WatchStream({ onOpen: () => undefined, onData: () => undefined, onEnd: () => undefined });
  stream.onRequestStart(controller);
  stream.onResponseStart(controller, 200, { 'content-type': 'text/event-stream' });
  const chunk = Buffer.from(event.repeat(Math.ceil(65_536 / event.length)));
  for (; !isPaused && taken < 1e9; taken += chunk.length) stream.onResponseData(controller, chunk);
  stream.abort();
  return taken;
}

suite('an upstream that says without end', () => {
  for (const [what, event, most] of [
    ['comments', ':\n', 150e3],
    ['empty lines', '\n', 150e3],
    ['events of no interest', 'event: ping\ndata: 1\n\n', 150e3],
    ['events without data', 'data\n\n', 150e3],
    ['long comments', `:${'x'.repeat(60_000)}\n`, 5e6],
  ] as const) {
    test(`${what} is read no further for a while`, () => assert.ok(takenOf(event) <= most, `${takenOf(event)}`));
  }
});
