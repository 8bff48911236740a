import { beforeEach, describe, expect, it } from 'vitest';
import { bindingOf, Recorder, Upstream } from '../../test/support/cache-question.ts';
import { parse } from '../promql/parse.ts';
import { headOf } from './answer.ts';
import { type Cache, createCache } from './cache.ts';
import type { Question } from './source.ts';

const step = 15_000;
const start = Date.parse('2025-06-01T08:00:00Z');
const expr = parse('up');
const binding = bindingOf();
let asked: Upstream[];
let cache: Cache;

beforeEach(() => {
  asked = [];
  const ignore = () => undefined;
  const log = { debug: ignore, info: ignore, warn: ignore, error: ignore, request: ignore, setLevel: ignore, flush: ignore };
  cache = createCache({ memory: 64 * 1024 * 1024, shadow: () => 0, tier: null, log, saved: ignore, compared: ignore });
});

const between = (from: number, to: number) => `query=up&start=${from / 1000}&end=${to / 1000}&step=15`;

/** For these points. */
function questionOf(first: number, last: number): Question {
  const times = { start: start + first * step, end: start + last * step, step };
  const parameters = between(times.start, times.end);
  const single = new Map([['query', 'up']]);
  return {
    asked: { endpoint: 'query_range', path: '/api/v1/query_range', parameters, single, times, expr },
    binding,
    source(parameters, _gzip, receiver) {
      const upstream = new Upstream(parameters, receiver);
      asked.push(upstream);
      return upstream;
    },
    between,
  };
}

/** Asks for these points. */
function ask(first: number, last: number, client = new Recorder()) {
  return { client, asking: cache.ask(questionOf(first, last), false, client) };
}

function lastAsked(): Upstream {
  const upstream = asked.at(-1);
  if (upstream === undefined) throw new Error('nothing was asked');
  return upstream;
}

/** Keeps these points. */
function keep(first: number, last: number): void {
  ask(first, last);
  const samples = Array.from({ length: last - first + 1 }, (_, i) => `[${(start + (first + i) * step) / 1000},"1"]`);
  const series = `{"metric":{},"values":[${samples.join(',')}]}`;
  const { receiver } = lastAsked();
  receiver.head(headOf('application/json', null));
  receiver.data(Buffer.from(`{"status":"success","data":{"resultType":"matrix","result":[${series}]}}`));
  receiver.end();
}

describe('a gap whose answer somebody else has begun to get', () => {
  it('and that is a refusal: it goes on when the client takes more', () => {
    keep(0, 100);
    ask(101, 200);
    const { receiver } = lastAsked();
    receiver.head(headOf('application/json', null, 422));
    const { client, asking } = ask(0, 200);
    expect(client.heads.map(([{ status }, from]) => [status, from])).toEqual([[422, 'partial']]);
    client.flowing = false;
    receiver.data(Buffer.from('{"status":'));
    receiver.data(Buffer.from('"error"}'));
    receiver.end();
    expect([client.text, client.over]).toEqual(['{"status":', null]);
    client.flowing = true;
    asking.resume();
    expect([client.text, client.over]).toEqual(['{"status":"error"}', 'end']);
    expect(asked).toHaveLength(2);
  });

  it('and that is of no use: it is not waited for', () => {
    keep(0, 100);
    const leader = ask(101, 200);
    const part = lastAsked();
    part.receiver.head(headOf('application/json', null));
    part.receiver.data(Buffer.from('{"status":"success","warnings":'));
    ask(0, 200);
    expect([lastAsked().parameters, lastAsked().aborted, part.aborted]).toEqual([questionOf(0, 200).asked.parameters, 0, 0]);
    leader.asking.abort();
    expect([lastAsked().aborted, part.aborted]).toEqual([0, 1]);
  });
});
