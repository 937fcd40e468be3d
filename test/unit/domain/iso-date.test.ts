import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIsoDate } from '../../../src/domain/iso-date.ts';

test('a date that no calendar has is none, and neither is one without a zone', () => {
  const none = ['2099-02-29', '2099-02-31T12:00:00Z', '2099-04-31', '2099-13-01', '2099-01-31T25:00Z'];
  for (const text of [...none, '2099-01-31T12:00', '2099', 'tomorrow', '']) assert.equal(parseIsoDate(text), undefined);
  const day = Date.UTC(2096, 1, 29);
  for (const text of ['2096-02-29', '2096-02-29T00:00Z', '2096-02-29T02:00:00.000+02:00'])
    assert.equal(parseIsoDate(text), day);
});
