// Text of any characters, for properties.

import fc from 'fast-check';

const FIRST_HALF = 0xd800;
const HALVES = 0x800;

/**
 * One code point, any but half of a surrogate pair: what fast-check calls `'binary'`, for which it first writes a table of
 * all of Unicode that takes most of a second.
 */
export const CODE_POINT = fc.nat({ max: 0x10ffff - HALVES }).map(
  (index) => String.fromCodePoint(index < FIRST_HALF ? index : index + HALVES),
  (text) => {
    const [char, ...others] = typeof text === 'string' && text.isWellFormed() ? text : '';
    const point = char?.codePointAt(0);
    if (point === undefined || others.length > 0) throw new TypeError('not one code point');
    return point < FIRST_HALF ? point : point - HALVES;
  },
);
