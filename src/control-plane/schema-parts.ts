// Pieces of schemas that several objects of the config file are made of.

import * as z from 'zod';
import { isSecretName } from '../domain/mcp-config.ts';

/** Runs one finder over a value and reports what it finds; a finder answers `undefined` for a good value. */
export function checkedBy<T>(find: (value: T) => string | undefined) {
  return (context: z.core.ParsePayload<T>): void => {
    const message = find(context.value);
    if (message !== undefined) context.issues.push({ code: 'custom', message, input: context.value });
  };
}

/** A condition on a whole object, asked only once its keys are known and of their types: a misspelt key is problem enough. */
export function condition<T extends object>(isMet: (value: T) => boolean, message: string, path: string[] = []) {
  return z.refine<T>(isMet, {
    error: message,
    path,
    when: ({ value, issues }) =>
      typeof value === 'object' &&
      value !== null &&
      issues.every((issue) => issue.code !== 'unrecognized_keys' && issue.code !== 'invalid_type'),
  });
}

/** Exactly one of `keys` must be there. */
export function exactlyOne<T extends object>(keys: readonly string[], message: string) {
  return condition<T>((value) => keys.filter((key) => Object.hasOwn(value, key)).length === 1, message);
}

export const secretName = z.string().refine(isSecretName, 'is not a secret name: 1 to 128 letters, digits, _ or -');

/** A Node timer that is set for longer goes off after 1 ms. */
const MAX_TIMER_MS = 2_147_483_647;
/** 0 for what is then never done. */
export const millisecondsOrNever = z.int().min(0).max(MAX_TIMER_MS);
export const milliseconds = (maxMs = MAX_TIMER_MS) => z.int().min(1).max(maxMs);
export const count = z.int().min(1);
/** Milliseconds since 1970, up to the last that a date can be (ECMA-262 §21.4.1.1): `toISOString` throws beyond it. */
export const timeMs = z.int().min(0).max(8_640_000_000_000_000);
/** Of one call, whoever sets it. */
export const callTimeout = milliseconds(1_800_000);
