import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selectorsOf } from '../../src/guard/confine.ts';
import { parse } from '../../src/promql/parse.ts';
import { print } from '../../src/promql/print.ts';
import { selectorsIn } from '../support/canonical.ts';
import { expectNoTrace, type GuardRig, noon, startGuardRig } from '../support/guard-rig.ts';
import { own } from '../support/tenants.ts';
import { corporaPresent, invalidQueries, validQueries } from './corpora.ts';

/** Prometheus' own queries, each asked through a confined endpoint in front of a real Prometheus. */
let rig: GuardRig;
beforeAll(async () => {
  rig = await startGuardRig();
});
afterAll(() => rig?.close());

interface Outcome {
  readonly query: string;
  readonly status: number;
  readonly error: string;
  /** What was asked of the server for it; null where it was not asked. */
  readonly sent: string | null;
  /** The query, and what was sent, as the server writes them; null where it cannot read them. */
  readonly canonical: string | null;
  readonly sentCanonical: string | null;
}

/** Asks each query at a time of its own, by which its question to the server is known. */
async function askAll(queries: readonly string[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  rig.recorders.prometheus.take();
  const one = async (index: number): Promise<void> => {
    const query = queries[index] ?? '';
    const time = (noon + index / 1000).toFixed(3);
    const reply = await rig.send(
      'prometheus',
      '/api/v1/query',
      [
        ['query', query],
        ['time', time],
      ],
      index % 2 === 0 ? 'GET' : 'POST',
    );
    // Numbers of the queries' own making say nothing.
    expectNoTrace(reply, query, false);
    const { error = '' } = JSON.parse(reply.body);
    outcomes[index] = { query, status: reply.status, error, sent: null, canonical: await rig.format(query), sentCanonical: null };
  };
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < queries.length; index = next++) await one(index);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  for (const { path, params } of rig.recorders.prometheus.take()) {
    if (!path.endsWith('/query')) continue;
    const asked = new Map(params);
    const index = Math.round((Number(asked.get('time')) - noon) * 1000);
    const outcome = outcomes[index];
    const sent = asked.get('query') ?? '';
    if (outcome === undefined || outcome.sent !== null) throw new Error(`a question of nobody: ${sent}`);
    outcomes[index] = { ...outcome, sent, sentCanonical: await rig.format(sent) };
  }
  return outcomes;
}

const isMatcher = ({ label, op, value }: { label: string; op: string; value: string }): boolean =>
  label === own.label && op === '=' && value === own.value;

/** Selectors without the matcher, as two readers see the server's canonical form; all of them are counted. */
function unconfined(canonical: string): { missing: number; seen: number } {
  const seen = selectorsIn(canonical);
  const parsed = selectorsOf(parse(canonical));
  if (parsed.length !== seen.length) throw new Error(`${parsed.length} and ${seen.length} selectors: ${canonical}`);
  const missing = [...seen, ...parsed].filter(({ matchers }) => !matchers.some(isMatcher)).length;
  return { missing, seen: seen.length };
}

/** What Prometheus 2.42 reads and Promgate refuses before it asks, with the reason. */
const refusedHere: Record<string, string> = {
  // Bugs of that version; Prometheus 3 refuses all three.
  'some_metric @ start() [5m]': 'it forgot start() and end() when it looked for a modifier before the range',
  'some_metric @ end()[5m]': 'likewise',
  'foo[5s x 5s]': 'its lexer passes over letters that stand alone in brackets',
};

describe.skipIf(!corporaPresent)('Prometheus’ own queries', () => {
  let valid: Outcome[];
  let invalid: Outcome[];
  beforeAll(async () => {
    valid = await askAll(validQueries);
    invalid = await askAll(invalidQueries);
  });

  it('none is answered with anything but 200, 400 or 422', () => {
    const others = [...valid, ...invalid].filter(({ status }) => ![200, 400, 422].includes(status));
    expect(others).toEqual([]);
  });

  it('no invalid one is answered, and none is asked that the server could read', () => {
    expect(invalid.filter(({ status }) => status === 200)).toEqual([]);
    expect(invalid.filter(({ sentCanonical }) => sentCanonical !== null)).toEqual([]);
  });

  it('no valid one is refused that the server accepts, but for those named', () => {
    const refused = [...valid, ...invalid].filter(({ sent, canonical }) => sent === null && canonical !== null);
    expect(refused.map(({ query }) => query).toSorted()).toEqual(Object.keys(refusedHere).toSorted());
    for (const { error } of refused) expect(error).toContain('parse error');
  });

  it('each verdict is the server’s, but that Promgate writes newer spellings in an older one', async () => {
    // Such as `+{"some_metric"}` and `foo[5] @ 1m`; that they mean the same is what the tests of `src/promql` show.
    const newer = [...valid, ...invalid].filter(({ canonical, sentCanonical }) => canonical === null && sentCanonical !== null);
    for (const { query } of newer)
      expect({ query, older: await rig.format(print(parse(query))) }).not.toEqual({ query, older: null });
    const others = [...valid, ...invalid].filter(({ canonical, sentCanonical }) => canonical !== null && sentCanonical === null);
    expect(others.map(({ query }) => query).toSorted()).toEqual(Object.keys(refusedHere).toSorted());
  });

  it('each selector of what was sent carries the matcher, by the server’s reading, and none was lost', () => {
    let seen = 0;
    for (const { query, canonical, sentCanonical } of [...valid, ...invalid]) {
      if (sentCanonical === null) continue;
      const confined = unconfined(sentCanonical);
      const before = canonical === null ? selectorsOf(parse(query)).length : unconfined(canonical).seen;
      expect({ query, ...confined }).toEqual({ query, missing: 0, seen: before });
      seen += confined.seen;
    }
    expect(seen).toBeGreaterThan(1000);
  });
});
