import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import type { Head } from '../upstream/head.ts';
import { headOf } from './answer.ts';
import { isClean, isKeepable, serverTime } from './keep.ts';

const good = headOf('application/json', 5);

describe('an answer may be kept as far as its head tells', () => {
  it.each(['application/json', 'application/json; charset=utf-8'])('in %s', (contentType) => {
    expect(isKeepable({ ...good, contentType })).toBe(true);
  });

  it.each<[string, Partial<Head>]>([
    ['with another status', { status: 204 }],
    ['of an error', { status: 503 }],
    ['that is encoded', { gzip: true }],
    ['that must not be stored', { noStore: true }],
    ['of no type', { contentType: null }],
    ['of lines', { contentType: 'application/stream+json' }],
    ['of text', { contentType: 'text/plain' }],
  ])('but not one %s', (_what, change) => {
    expect(isKeepable({ ...good, ...change })).toBe(false);
  });
});

const clean = (body: string) => isClean(Buffer.from(body));
const vector = (labels: object) =>
  JSON.stringify({ status: 'success', data: { resultType: 'vector', result: [{ metric: labels, value: [1, '1'] }] } });

describe('a whole answer is clean', () => {
  it.each([
    vector({ job: 'shop' }),
    `${vector({})}\n`,
    '{"status":"success","data":[]}',
    '{"status":"success","isPartial":false,"data":["a"]}',
    '{"status":"success","isPartial":false,"data":{"resultType":"scalar","result":[1,"1"]},"stats":{"seriesFetched":"1"}}',
  ])('%s', (body) => {
    expect(clean(body)).toBe(true);
  });

  it.each([
    '',
    '{}',
    '{"status"',
    '{"status":"success",',
    '{"status":"success","data":[]',
    '{"status":"error","errorType":"execution","error":"x"}',
    '{"status": "success","data":[]}',
    ' {"status":"success","data":[]}',
    '[]',
    '{"status":"success","data":[]}{"status":"success","data":[]}',
    '{"status":"success","data":[]}]',
    '{"status":"success","data":[],"warnings":["x"]}',
    '{"status":"success","warnings":[],"data":[]}',
    '{"status":"success","data":[],"infos":["x"]}',
    '{"status":"success","isPartial":true,"data":[]}',
    '{"status":"success","isPartial": false,"data":[]}',
    '{"status":"success","isPartial"',
    '{"status":"success","isPartial":falsy,"data":[]}',
  ])('but not %s', (body) => {
    expect(clean(body)).toBe(false);
  });

  it('whatever its labels say, unless they are just such a word', () => {
    const words = [
      'warnings',
      'infos',
      'isPartial',
      '"warnings":',
      '"infos"',
      '"isPartial":true',
      '\\"warnings"',
      '}',
      '{"',
      '\\',
    ];
    const text = fc.oneof(fc.constantFrom(...words), fc.string({ unit: 'grapheme', maxLength: 5 }));
    fc.assert(
      fc.property(fc.dictionary(text, text, { maxKeys: 4 }), (labels) => {
        const said = Object.entries(labels).flat();
        const isWord = said.some((text) => text === 'warnings' || text === 'infos' || text === 'isPartial');
        expect(clean(vector(labels))).toBe(!isWord);
        expect(clean(vector(labels).slice(0, -1))).toBe(false);
        // With something wrong, no label makes it good.
        for (const wrong of ['"isPartial":true', '"warnings":["x"]', '"infos":["x"]']) {
          expect(clean(vector(labels).replace('"data"', () => `${wrong},"data"`))).toBe(false);
          expect(clean(vector(labels).replace(/\}$/, () => `,${wrong}}`))).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('the moment that a server’s clock had surely reached', () => {
  const now = Date.parse('2026-01-01T00:00:10.900Z');
  beforeEach(() => {
    vi.useFakeTimers({ now, toFake: ['Date'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const at = (date: string | null, askedAt: number) => serverTime({ ...good, date }, askedAt) - now;

  it.each<[string, string | null, number]>([
    ['is when it was asked, if it does not tell', null, -400],
    ['or tells nothing', 'yesterday', -400],
    ['or is ahead', 'Thu, 01 Jan 2026 00:01:00 GMT', -400],
    // It says 10.000 where it is between 10.000 and 10.999.
    ['is as much earlier as it may be behind: less than a second', 'Thu, 01 Jan 2026 00:00:10 GMT', -1300],
    ['is as much earlier as it may be behind: a minute', 'Wed, 31 Dec 2025 23:59:10 GMT', -61_300],
  ])('%s', (_what, date, expected) => {
    expect(at(date, now - 400)).toBe(expected);
  });

  it('is never later than it can have been', () => {
    const cases = fc.record({ behind: fc.integer({ min: -100_000, max: 100_000 }), took: fc.nat({ max: 30_000 }) });
    fc.assert(
      fc.property(cases, ({ behind, took }) => {
        const date = new Date(now - behind).toUTCString();
        const theirs = now - took - behind;
        expect(serverTime({ ...good, date }, now - took)).toBeLessThanOrEqual(Math.max(theirs, now - took));
        expect(serverTime({ ...good, date }, now - took)).toBeLessThanOrEqual(behind > 0 ? theirs : now - took);
      }),
      { numRuns: 300 },
    );
  });
});
