// Texts of corpora with values made at run time in braces: a name, `name[from:to]`, `name*times`, and functions of several
// of these joined by `+`.

import { crc32 } from 'node:zlib';

const FUNCTIONS: Readonly<Record<string, (text: string) => string>> = {
  base64: (text) => Buffer.from(text).toString('base64'),
  percent: (text) => text.replaceAll(/./g, (char) => `%${char.charCodeAt(0).toString(16)}`),
  reversed: (text) => [...text].reverse().join(''),
  lower: (text) => text.toLowerCase(),
  upper: (text) => text.toUpperCase(),
  hyphens: (text) => text.replaceAll('_', '-'),
  'encoded-underscores': (text) => text.replaceAll('_', '%5f'),
  fullwidth: (text) => text.replaceAll(/[!-~]/g, (char) => String.fromCharCode(char.charCodeAt(0) + 0xfee0)),
  recased: (text) => [...text].map(inOtherCase).join(''),
  'swapped-case': (text) => text.slice(0, 21) + text.slice(21).replace(/[A-Za-z]/, inOtherCase),
  changed: (text) => text.slice(0, 30) + (text[30] === '0' ? '1' : '0') + text.slice(31),
  // Whoever forges a token can compute its checksum; one that is there already is left out.
  sealed: (text) => withChecksum(text.replace(/(?<=^swb_..._.{12}_.{43})_.{6}$/, '')),
  length: (text) => String(Buffer.byteLength(text)),
  hexlength: (text) => Buffer.byteLength(text).toString(16),
};

function inOtherCase(char: string): string {
  return char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase();
}

function withChecksum(body: string): string {
  const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  const sum = crc32(body);
  return `${body}_${Array.from({ length: 6 }, (_, i) => digits[Math.floor(sum / 62 ** (5 - i)) % 62]).join('')}`;
}

function evaluate(expression: string, lookUp: (name: string) => string): string {
  const call = /^([a-z\d-]+)\((.*)\)$/.exec(expression);
  if (call !== null && !/^[^()]*\).*\(/.test(call[2]!)) return FUNCTIONS[call[1]!]!(evaluate(call[2]!, lookUp));
  const parts = expression.split(/\+(?![^(]*\))/);
  if (parts.length > 1) return parts.map((part) => evaluate(part, lookUp)).join('');
  const [, name = '', times, from, to] = /^([a-z\d-]+)(?:\*(\d+)|\[(-?\d*):(-?\d*)\])?$/.exec(expression) ?? [];
  const value = lookUp(name);
  if (times !== undefined) return value.repeat(Number(times));
  return from === undefined ? value : value.slice(Number(from), to === '' ? undefined : Number(to));
}

/** The text with its values, and those values; `lookUp` gives the value of a name, or throws. */
export function fill(text: string, lookUp: (name: string) => string): { text: string; secrets: string[] } {
  const secrets: string[] = [];
  const filled = text.replaceAll(/\{([a-z][a-z\d+*:()[\]-]*)\}/g, (_, expression: string) => {
    const value = evaluate(expression, lookUp);
    secrets.push(value);
    return value;
  });
  return { text: filled, secrets };
}
