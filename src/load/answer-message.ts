// The message in the body of an answer, which is JSON or a stream of events.

/** What is looked at. It comes from anybody, and so anything may be anything. */
export interface AnswerMessage {
  readonly id?: unknown;
  readonly result?: { readonly isError?: unknown } | null;
  readonly error?: { readonly code?: unknown; readonly data?: { readonly reason?: unknown } | null } | null;
}

/** Of a whole body. `undefined` where there is none. */
export function readMessage(body: string): AnswerMessage | undefined {
  return isEvents(body) ? readResponse(toEvents(body)) : parse(body);
}

export function isEvents(body: string): boolean {
  return !/^\s*[{[]/.test(body);
}

/** The text of each event, and of what stands in front of the first if the text begins within one. */
export function toEvents(text: string): string[] {
  return text.replace(/\r\n?/g, '\n').split('\n\n');
}

/** The last message that answers, for a server may ask and tell in front of it; else the last of all. */
export function readResponse(events: readonly string[]): AnswerMessage | undefined {
  const messages = events.map((event) => parse(dataOf(event))).filter((message) => message !== undefined);
  return messages.findLast((message) => !('method' in message)) ?? messages.at(-1);
}

function dataOf(event: string): string {
  const lines = event.split('\n').filter((line) => line.startsWith('data:'));
  return lines.map((line) => line.slice('data:'.length)).join('\n');
}

function parse(text: string): AnswerMessage | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
