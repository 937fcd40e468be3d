// The end of what a process wrote to its stderr, for the log that says how it ended. It may have printed its environment,
// so the secrets it was given are taken out.

import { stripVTControlCharacters } from 'node:util';

const MAX_BYTES = 8 * 1024;
/** Shorter ones would take out parts of words, and are no secrets. */
const MIN_SECRET_CHARS = 4;
const REDACTED = '[redacted]';
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL_CHARACTERS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

export class StderrTail {
  readonly #secrets: readonly string[];
  #bytes = Buffer.alloc(0);
  #isCut = false;

  /** `secrets` are the values of the process's environment that must not be shown. */
  constructor(secrets: readonly string[]) {
    const lines = secrets.flatMap((secret) => secret.split(/\r?\n/)).filter((line) => line.length >= MIN_SECRET_CHARS);
    this.#secrets = lines.flatMap(spellingsOf).sort((a, b) => b.length - a.length);
  }

  push(chunk: Buffer): void {
    const bytes = Buffer.concat([this.#bytes, chunk.subarray(-MAX_BYTES)]);
    this.#isCut ||= this.#bytes.length + chunk.length > MAX_BYTES;
    this.#bytes = bytes.subarray(-MAX_BYTES);
  }

  text(): string {
    const text = this.#bytes.toString('utf8');
    // A line that was cut may begin with the rest of a secret, which nobody could recognise.
    const whole = this.#isCut ? text.slice(text.indexOf('\n') + 1 || text.length) : text;
    const shown = this.#secrets.reduce((rest, secret) => rest.replaceAll(secret, REDACTED), whole);
    return stripVTControlCharacters(shown).replaceAll(CONTROL_CHARACTERS, '').trim();
  }
}

/** As it is, and as it stands in a URL and in JSON, which servers print when they fail. */
function spellingsOf(secret: string): string[] {
  return [secret, encodeURIComponent(secret.toWellFormed()), JSON.stringify(secret).slice(1, -1)];
}
