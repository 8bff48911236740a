import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { arbitraryLabels, arbitraryStyle, compareLikeGo, labelsText } from './arbitrary-matrix.ts';
import { areLabels, compareLabels } from './labels.ts';

/** The order of two printed sets, in the middle of other bytes. */
function order(a: string, b: string): number {
  const [left, right] = [Buffer.from(`xx${a}[1,"1"],`), Buffer.from(`"${b}"`)];
  return Math.sign(compareLabels(left, 2, 2 + Buffer.byteLength(a), right, 1, 1 + Buffer.byteLength(b)));
}

describe('the order of labels', () => {
  it('is that of labels.Compare, however a server escapes', () => {
    fc.assert(
      fc.property(arbitraryLabels, arbitraryStyle, arbitraryStyle, (all, style, other) => {
        for (const a of all) {
          for (const b of all) {
            expect(order(labelsText(a, style), labelsText(b, other))).toBe(Math.sign(compareLikeGo(a, b)));
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ['the end of a value comes before any character', '{"a":"x"}', '{"a":"x "}'],
    ['the end of a name comes before any character', '{"a":"x"}', '{"a ":"x"}'],
    ['a quote within a value is a character', '{"a":"x!"}', '{"a":"x\\""}'],
    ['the set that ends first is the smaller one', '{"a":"x"}', '{"a":"x","b":"y"}'],
    ['the empty set comes first', '{}', '{"a":""}'],
    ['a comma within a value is a character', '{"a":"x","b":"y"}', '{"a":"x,"}'],
    ['a bracket within a value is a character', '{"a":"x,"}', '{"a":"x}"}'],
    ['an escape is the character that it stands for', '{"a":"\\u003c"}', '{"a":"="}'],
    ['the case of hexadecimal digits does not matter', '{"a":"\\u00e9a"}', '{"a":"\\u00E9b"}'],
    ['a short escape is the same as a long one', '{"a":"\\n","b":"1"}', '{"a":"\\u000a","b":"2"}'],
    ['characters beyond U+FFFF come after those below', '{"a":"\\uffff"}', '{"a":"\\ud83d\\ude00"}'],
    ['pairs of escapes differ in their second half', '{"a":"\\ud83d\\ude00"}', '{"a":"😁"}'],
    ['what stands in front of an escape decides', '{"a":"a\\n"}', '{"a":"b\\n"}'],
  ])('%s', (_, smaller, larger) => {
    expect([order(smaller, larger), order(larger, smaller), order(smaller, smaller)]).toEqual([-1, 1, 0]);
  });
});

describe('labels', () => {
  const check = (text: string | Buffer): boolean => {
    const bytes = Buffer.from(text);
    return areLabels(Buffer.concat([Buffer.from('"'), bytes, Buffer.from(',"x":"y"}')]), 1, 1 + bytes.length);
  };

  it('are known by their form', () => {
    fc.assert(
      fc.property(arbitraryLabels, arbitraryStyle, (all, style) => {
        for (const one of all) expect(check(labelsText(one, style))).toBe(true);
      }),
    );
  });

  it.each(['{}', '{"__name__":"up","A":"x"}', '{"A":"x","__name__":"up"}', '{"a\\"":"x","a\\u0023":"y"}'])(
    'may be %s',
    (text) => {
      expect(check(text)).toBe(true);
    },
  );

  it.each([
    ['cut off', '{"a":"b"'],
    ['cut off in a text', '{"a":"b'],
    ['more than one set', '{"a":"b"}}'],
    ['no set', '["a"]'],
    ['a number', '{"a":1}'],
    ['an object', '{"a":{}}'],
    ['a name without value', '{"a"}'],
    ['white space', '{"a": "b"}'],
    ['a comma too many', '{"a":"b",}'],
    ['a comma alone', '{,}'],
    ['a name twice', '{"a":"b","a":"c"}'],
    ['the name of the metric twice', '{"__name__":"b","A":"x","__name__":"c"}'],
    ['the name of the metric twice in a row', '{"__name__":"b","__name__":"c"}'],
    ['names in another order', '{"b":"x","a":"y"}'],
    ['names in another order, escaped', '{"\\u0062":"x","a":"y"}'],
    ['names in another order behind that of the metric', '{"__name__":"m","b":"x","a":"y"}'],
    ['the name of the metric behind a later one', '{"b":"x","__name__":"m"}'],
    ['a control character', '{"a":"\n"}'],
    ['an unknown escape', '{"a":"\\x41"}'],
    ['a cut escape', '{"a":"\\u00"}'],
    ['the first half of a pair alone', '{"a":"\\ud83d"}'],
    ['the first half of a pair, and something else', '{"a":"\\ud83dabcdef"}'],
    ['two first halves', '{"a":"\\ud83d\\ud83d"}'],
    ['the second half of a pair alone', '{"a":"\\ude00"}'],
  ])('are not: %s', (_, text) => {
    expect(check(text)).toBe(false);
  });

  it.each([
    ['a byte that begins nothing', [0xff]],
    ['a byte that continues nothing', [0x80]],
    ['too long a form of a slash', [0xc0, 0xaf]],
    ['too long a form in three bytes', [0xe0, 0x80, 0xaf]],
    ['too long a form in four bytes', [0xf0, 0x80, 0x80, 0xaf]],
    ['half a surrogate pair', [0xed, 0xa0, 0x80]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['a character cut off by the quote', [0xe2, 0x82]],
  ])('are not: %s', (_, bytes) => {
    expect(check(Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes), Buffer.from('"}')]))).toBe(false);
  });
});
