import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { format, inspect } from 'node:util';
import { Secret } from '../../../src/domain/secret.ts';

describe('Secret', () => {
  const secret = new Secret('hunter2');

  test('reveals its value only when asked to', () => {
    assert.equal(secret.reveal(), 'hunter2');
  });

  test('prints as [redacted] however it is printed', () => {
    const printed = [
      `${secret}`,
      String(secret),
      `${secret}`.concat(''),
      JSON.stringify({ secret }),
      inspect(secret, { showHidden: true, depth: null }),
      inspect({ nested: [secret] }, { depth: null }),
      format('%s %o %O %j', secret, secret, secret, secret),
      JSON.stringify(Object.entries(secret)),
      inspect(structuredClone({ ...secret })),
    ];
    for (const text of printed) assert.doesNotMatch(text, /hunter2/);
    assert.equal(printed[0], '[redacted]');
    assert.equal(printed[3], '{"secret":"[redacted]"}');
    assert.equal(printed[4], '[redacted]');
  });
});
