import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AnswerRewrite, COMPLETE, rewriteShortAnswer } from '../../../src/protocol/answer-splice.ts';
import { MAX_WALK_BYTES } from '../../../src/protocol/answer-walk.ts';
import { rewritePlainAnswer } from '../../../src/protocol/plain-answer.ts';
import { hasOtherType, mayBeIncomplete } from '../../../src/protocol/result-type.ts';
import { toText } from '../../../src/protocol/splice.ts';

const ID = 'Zk3-pQ_9aVbX0LmN7yTc2w';

const SAME_ERA: AnswerRewrite = {
  upstreamId: ID,
  clientId: '7',
  clientEra: 'modern',
  upstreamEra: 'modern',
  addedMembers: '',
  stripsResultType: false,
  wrapsStructuredContent: false,
};
const ADDED: AnswerRewrite = { ...SAME_ERA, upstreamEra: 'legacy', addedMembers: COMPLETE };

function rewrite(text: string, how = SAME_ERA): string | undefined {
  const bytes = Buffer.from(text);
  const out = rewritePlainAnswer(bytes, toText(bytes), how);
  return out === undefined ? undefined : Buffer.from(out, 'latin1').toString();
}

const space = fc.constantFrom('', '', '', ' ', '\n\t');
const member = (keys: readonly string[], values: readonly string[]): fc.Arbitrary<string> =>
  fc
    .tuple(space, fc.constantFrom(...keys), space, space, fc.constantFrom(...values), space)
    .map(([a, key, b, c, value, d]) => `${a}"${key}"${b}:${c}${value}${d}`);
const object = (members: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(members, { maxLength: 4 }).map((each) => `{${each.join(',')}}`);
const result = object(
  member(
    ['content', 'resultType', 'inputRequests', '_meta', 'result\\u0054ype', 'é'],
    ['"complete"', '"input_required"', '1.0', '"\\u00e9 é"', '[]', '{"a":[1e400]}', '9007199254740993'],
  ),
);
const answer = fc
  .tuple(
    fc.subarray(['jsonrpc', 'other', 'é']),
    fc.array(fc.constantFrom('id', 'i\\u0064', 'result', 'error', 'method'), { maxLength: 1 }),
    fc.tuple(
      fc.infiniteStream(fc.integer()),
      result,
      fc.constantFrom(`"${ID}"`, `"${ID}"`, `"${ID}"`, '7', '"other"'),
      space,
    ),
  )
  .map(([others, odd, [order, inside, id, gap]]) => {
    const value = (key: string): string => {
      if (key === 'result') return inside;
      if (key === 'id' || key === 'i\\u0064') return id;
      return key === 'jsonrpc' ? '"2.0"' : '{}';
    };
    const keys = ['id', 'result', ...others, ...odd].map((key) => [order.next().value as number, key] as const);
    const shuffled = keys.sort(([one], [other]) => one - other).map(([, key]) => key);
    return `${gap}{${shuffled.map((key) => `${gap}"${key}":${gap}${value(key)}`).join(',')}}${gap}`;
  });

test('what is taken for a plain answer is what the closer look takes it for, with nothing changed but the id', () => {
  let plain = 0;
  fc.assert(
    fc.property(answer, (text) => {
      const out = rewrite(text);
      if (out === undefined) return;
      plain++;
      const bytes = Buffer.from(text);
      const closer = rewriteShortAnswer(bytes, toText(bytes), SAME_ERA);
      assert.deepEqual(JSON.parse(out), JSON.parse(Buffer.from(closer ?? '', 'latin1').toString()));
      assert.equal(out, text.replace(`"${ID}"`, '7'));
      assert.equal(hasOtherType(bytes), false);
      if (mayBeIncomplete(bytes, undefined)) assert.doesNotMatch(text, /"resultType"\s*:\s*"input_required"/);
    }),
    { numRuns: 3000 },
  );
  assert.ok(plain > 100, `${plain} of the texts were plain`);
});

test('a result of another era gets its members in front of its own, or alone', () => {
  const tail = `"jsonrpc":"2.0","id":"${ID}"`;
  assert.equal(
    rewrite(`{"result":{"content":[]},${tail}}`, ADDED),
    `{"result":{${COMPLETE},"content":[]},"jsonrpc":"2.0","id":7}`,
  );
  assert.equal(rewrite(`{"id":"${ID}","result":{ }}`, ADDED), `{"id":7,"result":{${COMPLETE} }}`);
});

for (const [what, text] of [
  ['an error', `{"id":"${ID}","error":{"code":1,"message":"x"}}`],
  ['a result and an error', `{"id":"${ID}","result":{},"error":{}}`],
  ['two ids', `{"id":"${ID}","result":{},"id":"${ID}"}`],
  ['two results', `{"id":"${ID}","result":{},"result":{}}`],
  ['no id', '{"result":{}}'],
  ['the id of another request', '{"id":"Yj2-oP_8ZuaW9KlM6xSb1v","result":{}}'],
  ['a request of its own', `{"id":"${ID}","method":"x","result":{}}`],
  ['a request for input', `{"id":"${ID}","result":{"inputRequests":{}}}`],
  ['a type nobody knows', `{"id":"${ID}","result":{"resultType":"other"}}`],
  ['a type in escapes', `{"id":"${ID}","result":{"result\\u0054ype":"input_required"}}`],
  ['two types', `{"id":"${ID}","result":{"resultType":"complete","resultType":"complete"}}`],
  ['a result that is no object', `{"id":"${ID}","result":[]}`],
  ['half of one', `{"id":"${ID}","result":{"a":"`],
  ['something behind it', `{"id":"${ID}","result":{}}{}`],
  ['nothing', ''],
  ['more than is walked', `{"id":"${ID}","result":{"a":"${'x'.repeat(MAX_WALK_BYTES)}"}}`],
] as const) {
  test(`${what} is no plain answer`, () => {
    assert.equal(rewrite(text), undefined);
    assert.equal(rewrite(text, ADDED), undefined);
  });
}

test('a key without its opening quote is no JSON, however the answer is looked at', () => {
  for (const text of [
    `{"id":"${ID}","result":{},x":1}`,
    `{x":1,"id":"${ID}","result":{}}`,
    `{"result":{x":1},"id":"${ID}"}`,
  ]) {
    assert.equal(rewrite(text), undefined);
    assert.equal(rewriteShortAnswer(Buffer.from(text), text, SAME_ERA), undefined);
  }
});

test('an answer to be reshaped is no plain one, nor is one whose type would be said twice', () => {
  const text = `{"id":"${ID}","result":{"resultType":"complete"}}`;
  assert.equal(rewrite(text, { ...SAME_ERA, stripsResultType: true }), undefined);
  assert.equal(rewrite(text, { ...SAME_ERA, wrapsStructuredContent: true }), undefined);
  assert.equal(rewrite(text, ADDED), undefined);
});
