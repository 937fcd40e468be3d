// The entry of the thread that writes the log: messages in, messages out. What it does is in `writer.ts`.

import { parentPort, workerData } from 'node:worker_threads';
import { GatewayError } from '../domain/errors.ts';
import { codeOf } from './files.ts';
import type { FromWriter, ToWriter, WriterAnswer, WriterRequest, WriterSettings } from './messages.ts';
import { readCalls } from './read-calls.ts';
import { Writer } from './writer.ts';

const TICK_MS = 1_000;

const settings = workerData as WriterSettings;
const tell = (message: FromWriter): void =>
  parentPort?.postMessage(message, message.kind === 'written' ? [message.batch.buffer] : []);
const writer = new Writer({ ...settings, now: Date.now, tell });
const ticks = setInterval(() => writer.tick(), TICK_MS);

function answer(request: WriterRequest): WriterAnswer {
  if (request.kind === 'flush') return {};
  if (request.kind === 'close') return { lost: writer.close() };
  try {
    return { page: readCalls(settings.directory, request.query, request.cursor, request.limit) };
  } catch (error) {
    if (error instanceof GatewayError) return { isCursorForeign: true };
    return { failure: codeOf(error) ?? 'failed' };
  }
}

parentPort?.on('message', (message: ToWriter) => {
  if (message.kind === 'batch') writer.add(message.batch);
  else if (message.kind === 'changes') writer.noteChanges(message.heads);
  else {
    tell({ kind: 'done', number: message.number, answer: answer(message.request) });
    if (message.request.kind !== 'close') return;
    clearInterval(ticks);
    parentPort?.close();
  }
});
writer.start();
