// What the page says crosses between the eras, and the tests that it names for it: neither is without the other.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { suite, test } from 'node:test';

const ROOT = new URL('../../', import.meta.url);
const PAGE = 'src/protocol/CROSSING.md';
const PAIRS = ['modern → modern', 'modern → legacy', 'legacy → modern', 'legacy → legacy'];
/** Of a refusal or of what is dropped, the page says with which error, or why. */
const EXPLAINED = ['refused', 'dropped'];

const page = readFileSync(new URL(PAGE, ROOT), 'utf8');
const [head, , ...rows] = page
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map(cellsOf);
/** The words that a cell may have, from the page's own list of them. */
const words: readonly string[] = [...page.matchAll(/^- \*\*(\w+)\*\*/gm)].map(([, word]) => word!);

function cellsOf(line: string): string[] {
  // A bar inside a cell is written as an escape.
  return line
    .slice(1, line.lastIndexOf('|'))
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}

suite('the page of what crosses', () => {
  test('has a column for each pair of eras, and what proves it in the last', () => {
    assert.deepEqual(head, ['Feature', ...PAIRS, 'How', 'Proven by']);
    assert.ok(rows.length >= 30, `${rows.length} rows`);
    for (const row of rows) assert.equal(row.length, head!.length, row[0]!);
    const features = rows.map(([feature]) => feature);
    assert.equal(new Set(features).size, features.length);
  });

  test('says of each feature and pair one of its own words, and uses them all', () => {
    const said = rows.flatMap((row) => row.slice(1, 1 + PAIRS.length));
    for (const word of said) assert.ok(words.includes(word), `'${word}' is none of ${words}`);
    assert.deepEqual(new Set(said), new Set(words));
  });

  test('says how each refusal is told, and why something is dropped', () => {
    for (const row of rows) {
      const how = row[1 + PAIRS.length]!;
      if (EXPLAINED.some((word) => row.includes(word))) assert.ok(how.length > 20, `${row[0]}: ${how}`);
      if (row.includes('refused')) assert.match(how, /-3\d{4}/, `${row[0]}: which error?`);
    }
  });

  for (const row of rows) {
    test(`names tests that there are: ${row[0]}`, () => {
      const proofs = [...row.at(-1)!.matchAll(/`([^`]+)` › ([^;]+)/g)];
      assert.ok(proofs.length > 0, 'no row is without a test');
      assert.equal(proofs.map(([whole]) => whole.trim()).join('; '), row.at(-1), 'nothing but tests');
      for (const [, file, title] of proofs) {
        const path = new URL(`test/${file}`, ROOT);
        assert.ok(existsSync(path), `test/${file} exists`);
        assert.ok(isTitle(title!.trim(), readFileSync(path, 'utf8')), `test/${file} has a test '${title!.trim()}'`);
      }
    });
  }

  test('is linked from the README', () => {
    assert.ok(readFileSync(new URL('README.md', ROOT), 'utf8').includes(`](${PAGE})`));
  });
});

/** Whether a test or suite of that title is in the source: letter for letter, or by a template that makes such titles. */
function isTitle(title: string, source: string): boolean {
  const literals = source.matchAll(/\b(?:test|suite|describe)\(\s*(['"`])((?:\\.|(?!\1).)*)\1/g);
  return [...literals].some(([, quote, text]) => {
    if (quote !== '`') return text!.replaceAll('\\', '') === title;
    const fixed = text!.split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/);
    // A template of hardly anything would make any title.
    if (fixed.join('').trim().length < 8) return false;
    return new RegExp(`^${fixed.map(escaped).join('.*')}$`).test(title);
  });
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
