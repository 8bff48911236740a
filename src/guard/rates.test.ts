import { describe, expect, it } from 'vitest';
import { PromgateError } from '../errors.ts';
import { createRates, type RateLimits, targetKey } from './rates.ts';

const none: RateLimits = { tokenConcurrency: 0, tokenRate: 0, environmentConcurrency: 0, environmentRate: 0 };

/** A clock that stands until it is moved, and questions of a token, an environment and a server. */
function bench(limits: Partial<RateLimits>) {
  let time = 5_000;
  const rates = createRates(() => time);
  const all = { ...none, ...limits };
  const enter = (asker: { caller?: number; target?: string; server?: number } = {}, others: Partial<RateLimits> = {}) =>
    rates.enter({ caller: 1, target: 'environment 1', server: 1, ...asker }, { ...all, ...others });
  const refused = (asker: Parameters<typeof enter>[0] = {}): { message: string; after: number } => {
    try {
      enter(asker);
    } catch (error) {
      if (!(error instanceof PromgateError)) throw error;
      expect(error.code).toBe('too_many_requests');
      return { message: error.message, after: Number(error.headers?.['Retry-After']) };
    }
    throw new Error('was let in');
  };
  const pass = (milliseconds: number) => {
    time += milliseconds;
  };
  return { rates, enter, refused, pass };
}

const kinds = [
  ['token', 'token_concurrency', 'tokenConcurrency', 'token_rate', 'tokenRate', { caller: 2 }],
  [
    'environment',
    'environment_concurrency',
    'environmentConcurrency',
    'environment_rate',
    'environmentRate',
    { target: 'project 1' },
  ],
  ['server', 'concurrency', 'concurrency', 'rate', 'rate', { server: 2 }],
] as const;

describe.each(kinds)('%s', (whose, concurrencyName, concurrency, rateName, rate, other) => {
  it('as many run at once as the limit says, and one more when one is over', () => {
    const { enter, refused } = bench({ [concurrency]: 2 });
    const first = enter();
    enter();
    expect(refused()).toEqual({
      message: `limit ${concurrencyName} exceeded: 2 requests of this ${whose} are running, at most 2 may at once; try again in 1s`,
      after: 1,
    });
    first();
    enter();
    refused();
  });

  it('its own limit alone counts, not another’s', () => {
    const { enter, refused } = bench({ [concurrency]: 1, [rate]: 1 });
    enter();
    enter(other);
    refused();
    refused(other);
  });

  it('one second’s worth comes at once, then one in each interval', () => {
    const { enter, refused, pass } = bench({ [rate]: 4 });
    for (let i = 0; i < 4; i++) enter();
    expect(refused()).toEqual({
      message: `limit ${rateName} exceeded: the requests of this ${whose} come faster than 4 per second, more than 4 at once; try again in 1s`,
      after: 1,
    });
    pass(249);
    refused();
    pass(1);
    enter();
    refused();
    pass(1_000);
    for (let i = 0; i < 4; i++) enter();
    refused();
  });

  it('what is refused uses nothing up', () => {
    const { enter, refused, pass } = bench({ [rate]: 1, [concurrency]: 10 });
    enter();
    for (let i = 0; i < 100; i++) refused();
    pass(1_000);
    enter();
  });
});

describe('rates', () => {
  it('below one per second let one in and tell how long to wait', () => {
    const { enter, refused, pass } = bench({ tokenRate: 0.1 });
    enter();
    pass(500);
    expect(refused().after).toBe(10);
    pass(8_501);
    expect(refused().after).toBe(1);
    pass(999);
    enter();
    expect(refused().after).toBe(10);
  });

  it('are kept over a long time, to the letter', () => {
    const { enter, pass } = bench({ tokenRate: 7 });
    let entered = 0;
    for (let i = 0; i < 20_000; i++) {
      pass(1);
      try {
        enter()();
        entered += 1;
      } catch {}
    }
    // 7 at once, then 7 in each of 20 seconds.
    expect(entered).toBeGreaterThanOrEqual(140);
    expect(entered).toBeLessThanOrEqual(147);
  });

  it('exactly kept by a client are never refused', () => {
    for (const perSecond of [1, 3, 7, 0.3, 30]) {
      const { enter, pass } = bench({ tokenRate: perSecond });
      for (let i = 0; i < 1_000; i++) {
        enter()();
        pass(1000 / perSecond);
      }
    }
  });
});

describe('several limits', () => {
  it('what one refuses does not count for the others', () => {
    const { enter, refused } = bench({ tokenConcurrency: 2, environmentConcurrency: 1, tokenRate: 2 });
    const release = enter();
    for (let i = 0; i < 10; i++) expect(refused().message).toContain('environment_concurrency');
    release();
    // Had the refused ones counted for the token, it would be over both its limits now.
    enter();
  });

  it('a change of the limits holds from the next question on', () => {
    const { enter, refused } = bench({ tokenConcurrency: 1 });
    const first = enter();
    refused();
    const second = enter({}, { tokenConcurrency: 2 });
    first();
    refused();
    second();
    enter();
  });

  it('a question that came while there was no limit takes no place later', () => {
    const { enter, refused } = bench({ tokenConcurrency: 1 });
    const free = enter({}, { tokenConcurrency: 0 });
    enter();
    free();
    refused();
  });
});

describe('release', () => {
  it('counts once, however often it is called', () => {
    const { enter, refused } = bench({ tokenConcurrency: 2 });
    const first = enter();
    enter();
    first();
    first();
    enter();
    refused();
  });
});

describe('what is remembered', () => {
  it('is nothing where there are no limits', () => {
    const { rates, enter } = bench({});
    for (let caller = 0; caller < 100; caller++) enter({ caller });
    expect(rates.size()).toBe(0);
  });

  it('of those that are idle is dropped as others come', () => {
    const { rates, enter, pass } = bench({ tokenRate: 1, tokenConcurrency: 5, environmentRate: 1, concurrency: 5 });
    for (let i = 0; i < 1_000; i++) enter({ caller: i, target: `environment ${i}`, server: i })();
    expect(rates.size()).toBeGreaterThan(2_000);
    pass(1_000);
    for (let i = 0; i < 1_000; i++) {
      enter({ caller: 9_999, target: 'project 9999', server: 9_999 })();
      pass(1_000);
    }
    expect(rates.size()).toBe(3);
  });

  it('of those that still run stays', () => {
    const { rates, enter, refused, pass } = bench({ tokenConcurrency: 1 });
    for (let token = 1; token <= 10; token++) enter({ caller: token });
    for (let i = 0; i < 100; i++) enter({ caller: 1_000 + i })();
    pass(100_000);
    enter({ caller: 5_000 })();
    for (let token = 1; token <= 10; token++) refused({ caller: token });
    expect(rates.size()).toBeLessThanOrEqual(23);
  });

  it('of those that still owe time stays', () => {
    const { enter, refused, pass } = bench({ tokenRate: 0.5 });
    enter({ caller: 1 })();
    pass(1_000);
    for (let i = 0; i < 100; i++) enter({ caller: 1_000 + i })();
    refused({ caller: 1 });
  });
});

describe('the key of a target', () => {
  it('tells groups, projects and environments with one id apart', () => {
    const group = { id: 1, path: 'a', parent: null, servers: [] };
    const project = { id: 1, path: 'a/b', group, servers: [] };
    const environment = { id: 1, name: 'c', slug: 'c', kubeNamespace: '', project, servers: [] };
    const keys = [
      targetKey({ level: 'group', group }),
      targetKey({ level: 'project', project }),
      targetKey({ level: 'environment', environment }),
    ];
    expect(new Set(keys).size).toBe(3);
  });
});
