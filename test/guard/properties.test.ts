import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { arbitraryExpr } from '../../src/promql/arbitrary.ts';
import { print } from '../../src/promql/print.ts';
import { isSteady } from '../cache/questions.ts';
import { type Answer, ask, type Params } from '../support/ask.ts';
import { fc } from '../support/fast-check.ts';
import { comparable, expectConfined, expectNoTrace, type GuardRig, startGuardRig } from '../support/guard-rig.ts';
import { own } from '../support/tenants.ts';
import { around, at } from './attempt.ts';
import { realisticQuery } from './realistic.ts';

// Hundreds of questions.
vi.setConfig({ testTimeout: 120_000 });

let rig: GuardRig;
beforeAll(async () => {
  rig = await startGuardRig();
});
afterAll(() => rig?.close());

const matcher = `${own.label}="${own.value}"`;

/** `absent` names labels after matchers, so the one that is added shows. */
const showsMatchers = /\babsent/;

async function confined(path: string, query: string, params: Params): Promise<unknown> {
  const reply = await rig.send('prometheus', path, params, 'POST');
  expectNoTrace(reply, query, false);
  const seen = await expectConfined(rig, rig.recorders.prometheus.take());
  expect(seen).toBeGreaterThan(0);
  return comparable(reply);
}

/** Both give one answer. Where the server itself has several for the query, of which it takes any, both give it sooner or later. */
async function expectAgreed(query: string, ours: () => Promise<unknown>, theirs: () => Promise<Answer>): Promise<void> {
  for (let more = isSteady(query) ? 0 : 30; ; more--) {
    const [one, other] = [await ours(), comparable(await theirs())];
    if (more === 0 || isDeepStrictEqual(one, other)) {
      expect(one).toEqual(other);
      return;
    }
  }
}

describe('any query about the data', () => {
  it.each([
    ['/api/v1/query', at],
    ['/api/v1/query_range', around],
  ] as const)(
    '%s: is answered as with the matcher added by hand, and as by a server with a’s data alone',
    async (path, params) => {
      let told = 0;
      await fc.assert(
        fc.asyncProperty(realisticQuery(matcher), async ({ plain, byHand }) => {
          const answer = () => confined(path, plain, params(plain));
          const direct = () => ask(`${rig.prometheus.prometheus.url}${path}`, { method: 'POST', params: params(byHand) });
          // With two matchers of one label it depends on their order, which is ours, whether `absent` shows the label.
          if (!showsMatchers.test(plain) || !/namespace[=!]/.test(plain)) await expectAgreed(plain, answer, direct);
          if (!showsMatchers.test(plain)) {
            await expectAgreed(plain, answer, () => rig.alone('prometheus', path, params(plain)));
          }
          if (JSON.stringify(await answer()).includes('metric')) told += 1;
        }),
        { numRuns: 200 },
      );
      // Or the queries would be about nothing.
      expect(told).toBeGreaterThan(40);
    },
  );
});

describe('any query at all', () => {
  it('is sent confined or not at all, and the answer has no trace of others', async () => {
    await anyQuery(true);
  });
  it('with syntax that this server is too old for is refused, and nothing is sent that it would read otherwise', async () => {
    await anyQuery(false);
  });
  async function anyQuery(classic: boolean): Promise<void> {
    await fc.assert(
      fc.asyncProperty(arbitraryExpr({ classic }), async (expr) => {
        const query = print(expr);
        const reply = await rig.send('prometheus', '/api/v1/query', [...at(query), ['timeout', '100ms']], 'POST');
        expectNoTrace(reply, query, false);
        expect([200, 400, 422, 503]).toContain(reply.status);
        await expectConfined(rig, rig.recorders.prometheus.take());
      }),
      { numRuns: 150 },
    );
  }
});
