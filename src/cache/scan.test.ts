import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { answerText, arbitraryMatrix, arbitraryStyle, contents, labelsText, scanned } from './arbitrary-matrix.ts';
import { assemble } from './assemble.ts';
import type { Grid, Piece, Span } from './piece.ts';
import { createScanner } from './scan.ts';

const grid: Grid = { step: 1000, phase: 0 };
const span: Span = { first: 100, last: 109 };

/** An answer with these series. */
function answer(...series: string[]): string {
  return `{"status":"success","data":{"resultType":"matrix","result":[${series.join(',')}]}}`;
}

/** A series with these samples, in JSON. */
function series(samples: string, labels = '{}', kind = 'values'): string {
  return `{"metric":${labels},"${kind}":[${samples}]}`;
}

function understood(text: string | Buffer, size?: number): Piece | null {
  return scanned(text, { grid, span }, size);
}

/** The whole piece as an answer again. */
function again(piece: Piece): Buffer {
  return Buffer.concat([...assemble([{ piece, span: piece, cached: true }])]);
}

describe('the scanner', () => {
  it('keeps every sample at its point, and every series, in their own bytes', () => {
    fc.assert(
      fc.property(arbitraryMatrix, arbitraryStyle, (matrix, style) => {
        const text = answerText(matrix, style);
        const piece = scanned(text, matrix);
        if (piece === null) throw new Error(`not understood: ${text}`);
        const lastByte = (sample: string): string => sample.at(-1) ?? '';
        const expected = matrix.series.map(({ labels, values, histograms }) => [
          labelsText(labels, style),
          Object.fromEntries([
            ...[...values].map(([k, value]) => [`value ${k}`, value]),
            ...[...histograms].map(([k, value]) => [`histogram ${k}`, value]),
          ]),
        ]);
        const got = Object.entries(contents(piece)).map(([labels, samples]) => [
          labels,
          Object.fromEntries(
            Object.entries(samples).map(([point, sample]) => {
              expect(lastByte(sample)).toBe(',');
              return [point, sample.slice(sample.indexOf(',') + 1, -2)];
            }),
          ),
        ]);
        expect(got).toEqual(expected);
        expect(again(piece).toString()).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  it('makes the same piece however the answer is cut into chunks', () => {
    const text = answer(
      series('[100,"1"],[101,"NaN"],[105,"+Inf"]', '{"__name__":"up","a":"é\\u003c😀\\""}'),
      `{"metric":{"a":"}"},"values":[[103,"1"]],"histograms":[[104,{"count":"1","buckets":[[0,"-1","]",{"a":"\\"}"}]]}],[105,{}]]}`,
      series('[109,{"a":"\\\\"}]', '{"b":""}', 'histograms'),
    );
    const withStats = `${text.slice(0, -1)},"stats":{"seriesFetched": "3","executionTimeMsec":1.5}}\n`;
    for (const one of [text, withStats]) {
      const whole = understood(one);
      expect(whole).not.toBeNull();
      for (let size = 1; size <= one.length; size++) expect(understood(one, size)).toEqual(whole);
    }
  });

  it('makes the same piece of any answer in chunks of any size', () => {
    fc.assert(
      fc.property(arbitraryMatrix, arbitraryStyle, fc.integer({ min: 1, max: 200 }), (matrix, style, size) => {
        const text = answerText(matrix, style);
        expect(scanned(text, matrix, size)).toEqual(scanned(text, matrix));
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ['an empty result', answer()],
    ['histograms in front of floats', answer('{"metric":{},"histograms":[[100,{}]],"values":[[101,"1"]]}')],
    ['an answer that says it is not partial', answer(series('[100,"1"]')).replace('"data"', '"isPartial":false,"data"')],
    ['a line feed at the end', `${answer(series('[100,"1"]'))}\n`],
    ['milliseconds in fewer digits', answer(series('[100.0,"1"],[101.00,"1"],[102.000,"1"]'))],
  ])('understands %s', (_, text) => {
    const piece = understood(text);
    expect(JSON.parse(again(piece as Piece).toString())).toEqual(JSON.parse(text));
    expect(piece && again(piece).length).toBe(text.length);
  });

  it('leaves out what a question cost VictoriaMetrics', () => {
    const text = answer(series('[100,"1"]'));
    const piece = understood(text.replace(/}$/, ',"stats":{"seriesFetched": "1","executionTimeMsec":0}}'));
    expect(again(piece as Piece).toString()).toBe(text);
  });

  it('keeps nothing alive but the piece', () => {
    const piece = understood(answer(series('[100,"1"]'))) as Piece;
    const held = piece.bytes.length + piece.series.byteLength + piece.index.byteLength;
    expect(piece.bytes.buffer.byteLength).toBe(held);
    expect(piece.envelope.opening.buffer.byteLength).toBe(piece.envelope.opening.length);
    expect(piece.envelope.closing.buffer.byteLength).toBe(piece.envelope.closing.length);
  });

  it('says the type of the answer, when it was fetched, and for which points', () => {
    const scanner = createScanner(grid, span, 'application/json; charset=utf-8', 1000);
    scanner.push(Buffer.from(answer()));
    const piece = scanner.finish(77);
    expect(piece).toMatchObject({ ...span, fetchedAt: 77, envelope: { contentType: 'application/json; charset=utf-8' } });
  });

  it('finds points far in the future and of very fine grids', () => {
    const fine = { grid: { step: 1, phase: 0 }, span: { first: 999_999_999_999_998, last: 999_999_999_999_999 } };
    expect(scanned(answer(series('[999999999999.998,"1"],[999999999999.999,"2"]')), fine)).not.toBeNull();
  });
});

describe('the scanner gives up', () => {
  const good = answer(series('[100,"1"],[101,"2"]', '{"a":"b"}'), series('[100,{"count":"1"}]', '{"a":"c"}', 'histograms'));

  it('not on what the others are made from', () => {
    expect(understood(good)).not.toBeNull();
  });

  it.each([
    ['warnings', good.replace(/}$/, ',"warnings":["w"]}')],
    ['infos', good.replace(/}$/, ',"infos":["i"]}')],
    ['no warnings, told in a form of its own', good.replace(/}$/, ',"warnings":[]}')],
    ['an error', good.replace('success', 'error')],
    ['an error beside the data', good.replace(/}$/, ',"errorType":"x","error":"y"}')],
    ['a partial answer', good.replace('"data"', '"isPartial":true,"data"')],
    ['a vector', good.replace('matrix', 'vector')],
    ['keys in another order', '{"data":{"resultType":"matrix","result":[]},"status":"success"}'],
    ['statistics among the data', good.replace(']}}', '],"stats":{}}}')],
    ['statistics with something in them', good.replace(/}$/, ',"stats":{"a":{}}}')],
    ['statistics that are a list', good.replace(/}$/, ',"stats":[1]}')],
    ['a trace behind the statistics', good.replace(/}$/, ',"stats":{},"trace":{}}')],
    ['statistics without end', good.replace(/}$/, `,"stats":{"a":"${'x'.repeat(5000)}`)],
    ['no result', '{"status":"success","data":{"resultType":"matrix","result":null}}'],
    ['white space', good.replace('"data":', '"data": ')],
    ['white space among the samples', good.replace('],[', '], [')],
    ['white space in a sample', good.replace('100,', '100, ')],
    ['white space in a histogram', good.replace('"count":', '"count": ')],
    ['two line feeds at the end', `${good}\n\n`],
    ['something behind the end', `${good}{}`],
    ['something behind the line feed', `${good}\n{}`],
    ['a comma in front of the series', good.replace('[{', '[,{')],
    ['a comma behind the series', good.replace(/}]}}$/, '},]}}')],
    ['another key of a series', good.replace('"metric"', '"labels"')],
    ['a further key of a series', good.replace('}]}}', ',"x":1}]}}').replace(']},{', '],"x":1},{')],
    ['a series without samples', answer('{"metric":{}}')],
    ['an empty list of floats', answer(series(''))],
    ['an empty list of histograms', answer(series('', '{}', 'histograms'))],
    ['floats twice', answer('{"metric":{},"values":[[100,"1"]],"values":[[101,"1"]]}')],
    ['floats twice around histograms', answer('{"metric":{},"values":[[100,"1"]],"histograms":[[101,{}]],"values":[[102,"1"]]}')],
    ['histograms twice', answer('{"metric":{},"histograms":[[100,{}]],"histograms":[[101,{}]]}')],
    ['a series twice', answer(series('[100,"1"]', '{"a":"b"}'), series('[101,"1"]', '{"a":"b"}'))],
    ['a series twice, escaped', answer(series('[100,"1"]', '{"a":"b"}'), series('[101,"1"]', '{"a":"\\u0062"}'))],
    ['series in another order', answer(series('[100,"1"]', '{"a":"c"}'), series('[101,"1"]', '{"a":"b"}'))],
    ['labels that are no labels', answer(series('[100,"1"]', '{"a":1}'))],
    ['labels that are a list', answer(series('[100,"1"]', '["a"]'))],
    ['labels that are not UTF-8', Buffer.from(good.replace('"b"', '"\u00ff"'), 'latin1')],
    ['half a surrogate pair', good.replace('"b"', '"\\ud83d"')],
    ['a value that is a number', answer(series('[100,1]'))],
    ['a value that is no number', answer(series('[100,"x"]'))],
    ['an empty value', answer(series('[100,""]'))],
    ['a value with an escape', answer(series('[100,"1\\u0031"]'))],
    ['a value without end', answer(series(`[100,"${'1'.repeat(1000)}`))],
    ['a sample of three', answer(series('[100,"1",2]'))],
    ['a sample of one', answer(series('[100]'))],
    ['a comma behind the samples', answer(series('[100,"1"],'))],
    ['no comma between samples', answer(series('[100,"1"][101,"1"]'))],
    ['a histogram where a float should be', answer(series('[100,{}]'))],
    ['a float where a histogram should be', answer(series('[100,"1"]', '{}', 'histograms'))],
    ['a histogram that is a list', answer(series('[100,[]]', '{}', 'histograms'))],
    ['two histograms at a point', answer(series('[100,{},{}]', '{}', 'histograms'))],
    ['a histogram nested beyond reading', answer(series(`[100,{"a":${'['.repeat(20)}${']'.repeat(20)}}]`, '{}', 'histograms'))],
    ['a histogram with a comma too many', answer(series('[100,{"a":[1,]}]', '{}', 'histograms'))],
    ['a histogram with a comma too many at its end', answer(series('[100,{"a":1,}]', '{}', 'histograms'))],
    ['a histogram without a comma', answer(series('[100,{"a":[1"2"]}]', '{}', 'histograms'))],
    ['a histogram with a name alone', answer(series('[100,{"a"}]', '{}', 'histograms'))],
    ['a histogram with an odd number', answer(series('[100,{"a":01}]', '{}', 'histograms'))],
    ['a histogram with half a number', answer(series('[100,{"a":1.}]', '{}', 'histograms'))],
    ['a histogram with half an exponent', answer(series('[100,{"a":1e}]', '{}', 'histograms'))],
    ['a histogram with a word', answer(series('[100,{"a":nul}]', '{}', 'histograms'))],
    ['brackets that do not fit', answer(series('[100,{"a":[1}]]', '{}', 'histograms'))],
    ['a sample that another bracket ends', answer(series('[100,{}}', '{}', 'histograms'))],
    ['a histogram list that goes on without a comma', answer(series('[100,{}]x[101,{}]', '{}', 'histograms'))],
    ['a negative timestamp', answer(series('[-100,"1"]'))],
    ['a timestamp with an exponent', answer(series('[1e2,"1"]'))],
    ['a timestamp with leading zeros', answer(series('[0100,"1"]'))],
    ['a timestamp as text', answer(series('["100","1"]'))],
    ['a timestamp without whole seconds', answer(series('[.100,"1"]'))],
    ['a timestamp that ends at the point', answer(series('[100.,"1"]'))],
    ['a timestamp of microseconds', answer(series('[100.0000,"1"]'))],
    ['a timestamp beyond all time', answer(series('[1000000000000,"1"]'))],
    ['a timestamp off the grid', answer(series('[100.001,"1"]'))],
    ['a later timestamp off the grid', answer(series('[100,"1"],[101.5,"1"]'))],
    ['a timestamp before the first', answer(series('[99,"1"]'))],
    ['a timestamp behind the last', answer(series('[110,"1"]'))],
    ['a point behind the last, as the next', answer(series('[109,"1"],[110,"1"]'))],
    ['a timestamp twice', answer(series('[100,"1"],[100,"1"]'))],
    ['a timestamp that goes back', answer(series('[101,"1"],[100,"1"]'))],
    ['a histogram off the grid', answer(series('[100.5,{}]', '{}', 'histograms'))],
    ['a histogram twice at a time', answer(series('[100,{}],[100,{}]', '{}', 'histograms'))],
    ['no JSON', 'upstream connect error'],
    ['a 0 byte', good.replace('"1"', '"1\0"')],
  ])('on %s', (_, text) => {
    expect(understood(text)).toBeNull();
    expect(understood(text, 1)).toBeNull();
  });

  it('on an answer that ends anywhere before its end', () => {
    const withStats = good.replace(/}$/, ',"stats":{"a":1}}');
    for (const text of [good, withStats]) {
      for (let length = 0; length < text.length; length++) expect(understood(text.slice(0, length))).toBeNull();
    }
  });

  it('for good: what comes then is not looked at', () => {
    const scanner = createScanner(grid, span, 'application/json', 1000);
    expect(scanner.push(Buffer.from('x'))).toBe(false);
    expect(scanner.push(Buffer.from(good))).toBe(false);
    expect(scanner.finish(1)).toBeNull();
  });

  it('on changed bytes, or it gives them back as they are and they are JSON', () => {
    const both =
      '{"metric":{"a":"\\u003c\\"é","c":""},"values":[[100.0,"1"]],"histograms":[[102,{"count":"1","buckets":[[0,"-1"]]}]]}';
    const text = Buffer.from(answer(both, series('[100,"1"],[105,"NaN"]', '{"b":"x"}')));
    const change = fc.record({
      at: fc.nat({ max: text.length - 1 }),
      removed: fc.nat({ max: 3 }),
      put: fc.oneof(
        fc.constantFrom(...['', '"', ',', '}', ']', '[', '{', '\\', '0', '1', '.', ' ', '\n', '{}', '[]', '""', '\\u0000']),
        fc.uint8Array({ maxLength: 2 }),
      ),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 2 }), (changes) => {
        let bytes = text;
        for (const { at, removed, put } of changes) {
          bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(put as string), bytes.subarray(at + removed)]);
        }
        const piece = understood(bytes);
        if (piece === null) return;
        expect(again(piece)).toEqual(bytes);
        expect(new TextDecoder('utf8', { fatal: true }).decode(bytes)).toBe(bytes.toString());
        JSON.parse(bytes.toString());
      }),
      { numRuns: 15_000 },
    );
  });
});

describe('the bound of a piece', () => {
  const bytesOf = ({ bytes, series: rows, index }: Piece): number => bytes.length + rows.byteLength + index.byteLength;
  const scan = (text: string, points: number, maxBytes: number): Piece | null => {
    const scanner = createScanner(grid, { first: 0, last: points - 1 }, 'application/json', maxBytes);
    scanner.push(Buffer.from(text));
    return scanner.finish(1);
  };

  it('is kept to the byte', () => {
    const text = answer(series('[1,"1"],[5,"2"]', '{"a":"b"}'), series('[3,{}]', '{"a":"c"}', 'histograms'));
    const size = bytesOf(scan(text, 10, 1000) as Piece);
    expect(scan(text, 10, size)).not.toBeNull();
    expect(scan(text, 10, size - 1)).toBeNull();
  });

  it.each([
    ['floats', '[0,"1"],[999999999,"1"]', 'values'],
    ['histograms', '[0,{}],[999999999,{}]', 'histograms'],
  ])('holds for the points between two %s, before memory is taken for them', (_, samples, kind) => {
    expect(scan(answer(series(samples, '{}', kind)), 1_000_000_000, 1 << 20)).toBeNull();
  });

  it.each([
    ['labels', `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"`],
    ['a histogram', `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{"a":"`],
  ])('holds for %s that do not end', (_, beginning) => {
    const scanner = createScanner(grid, span, 'application/json', 10_000);
    expect(scanner.push(Buffer.from(beginning))).toBe(true);
    const more = Buffer.alloc(1000, 'x');
    const goesOn = Array.from({ length: 11 }, () => scanner.push(more));
    expect(goesOn.indexOf(false)).toBeGreaterThan(7);
  });
});
