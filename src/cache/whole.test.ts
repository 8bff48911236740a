import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bindingOf, countingBudget, questionOf, Recorder } from '../../test/support/cache-question.ts';
import { fc } from '../../test/support/fast-check.ts';
import { PromgateError } from '../errors.ts';
import type { Head } from '../upstream/head.ts';
import { headOf } from './answer.ts';
import type { WholePlan } from './cacheable.ts';
import { createHeld } from './held.ts';
import { createStore, type WholeAnswer } from './store.ts';
import { answerWhole, fetchWhole, lookWhole } from './whole.ts';

const MiB = 1024 * 1024;
const now = Date.parse('2026-01-01T12:00:00Z');
beforeEach(() => {
  vi.useFakeTimers({ now, toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const plan: WholePlan = { kind: 'whole', key: 'key', maxAge: 10_000, settledFrom: -Infinity };
const good = headOf('application/json; charset=utf-8', null);
const failure = new PromgateError('unavailable', 'gone');
const answer = '{"status":"success","data":["a","b"]}';

function wholeOf(body: Buffer): WholeAnswer {
  return { kind: 'whole', body, contentType: 'application/json', fetchedAt: 0 };
}

/** A client that takes nothing more after what comes first. */
function pausing(): Recorder {
  const client = new Recorder();
  client.data = () => false;
  return client;
}

function bench({ memory = 64 * MiB, budget = MiB, of = plan } = {}) {
  const store = createStore(memory);
  const counted = countingBudget(budget);
  const { question, asked } = questionOf(bindingOf());
  const client = new Recorder();
  const asking = fetchWhole(of, question, client, store, counted);
  const [upstream] = asked;
  if (upstream === undefined || asked.length > 1) throw new Error('not asked once');
  expect(upstream.parameters).toBe(question.asked.parameters);
  const kept = () => lookWhole(store, of);
  return { store, budget: counted, client, asking, upstream, all: upstream.receiver, kept };
}

describe('an answer', () => {
  it('goes to the client as it comes, and is kept when it is whole', () => {
    const { client, all, kept, budget } = bench();
    all.head(good);
    expect(client.heads).toEqual([[good, 'miss']]);
    const network = Buffer.from(`....${answer}....`);
    const half = network.subarray(4, 14);
    expect(all.data(half)).toBe(true);
    expect(client.chunks).toEqual([half]);
    all.data(network.subarray(14, 4 + answer.length));
    expect([kept(), budget.taken]).toEqual([null, answer.length]);
    all.end();
    expect([client.over, client.text, budget.taken]).toEqual(['end', answer, 0]);
    network.fill(0);
    expect(kept()).toEqual({ kind: 'whole', body: Buffer.from(answer), contentType: good.contentType, fetchedAt: now });
    expect(kept()?.body.buffer.byteLength).toBe(answer.length);
  });

  it('that is kept is given at once', () => {
    const client = new Recorder();
    const { question } = questionOf(bindingOf());
    answerWhole(wholeOf(Buffer.from(answer)), question, client, createHeld(0));
    expect(client.heads).toEqual([[headOf('application/json', answer.length), 'hit']]);
    expect([client.text, client.over]).toEqual([answer, 'end']);
  });

  it('of some length is asked of the server where too much is held for others who read slowly', () => {
    const body = Buffer.alloc(3 * MiB, 'x');
    const held = createHeld(4 * MiB);
    const { question, asked } = questionOf(bindingOf());
    const slow = answerWhole(wholeOf(body), question, pausing(), held);
    expect([held.bytes, asked.length]).toEqual([body.length, 0]);
    answerWhole(wholeOf(Buffer.from(body)), question, new Recorder(), held);
    expect([held.bytes, asked.length]).toEqual([body.length, 1]);
    slow.abort();
    expect(held.bytes).toBe(0);
  });

  it('is kept for its time, from when it was asked', () => {
    const { all, kept } = bench();
    all.head(good);
    vi.setSystemTime(now + 3000);
    all.data(Buffer.from(answer));
    all.end();
    vi.setSystemTime(now + 9999);
    expect(kept()).not.toBeNull();
    vi.setSystemTime(now + 10_000);
    expect(kept()).toBeNull();
    // The clock was set back.
    vi.setSystemTime(now - 1);
    expect(kept()).toBeNull();
  });

  it.each<[string, Partial<Head>, string]>([
    ['of an error', { status: 422 }, '{"status":"error"}'],
    ['that must not be stored', { noStore: true }, answer],
    ['in another form', { contentType: 'text/plain' }, answer],
    ['with warnings', {}, '{"status":"success","data":[],"warnings":["x"]}'],
    ['of nothing', {}, ''],
    ['of a server whose clock is behind', { date: 'Thu, 01 Jan 2026 11:49:59 GMT' }, answer],
  ])('%s passes as it is and is not kept', (_what, change, text) => {
    const { client, all, kept, budget, store } = bench({ of: { ...plan, settledFrom: now - 600_000 } });
    const head = { ...good, ...change };
    all.head(head);
    if (text !== '') all.data(Buffer.from(text));
    all.end();
    expect(client.heads).toEqual([[head, 'miss']]);
    expect([client.text, client.over]).toEqual([text, 'end']);
    expect([kept(), store.entries, budget.taken]).toEqual([null, 0, 0]);
  });

  it('of a server whose clock is as far as it has to be is kept', () => {
    const { all, kept } = bench({ of: { ...plan, settledFrom: now - 600_000 } });
    all.head({ ...good, date: 'Thu, 01 Jan 2026 11:50:00 GMT' });
    all.data(Buffer.from(answer));
    all.end();
    expect(kept()).not.toBeNull();
  });

  it.each<[string, Parameters<typeof bench>[0]]>([
    ['4 MiB', { budget: 100 * MiB, memory: 1000 * MiB }],
    ['may be kept of one', { budget: 100 * MiB, memory: 16 * 1000 }],
    ['there is room for', { budget: 1000 }],
  ])('of more bytes than %s passes, and holds nothing', (_what, limits) => {
    const { client, all, kept, budget } = bench(limits);
    all.head(good);
    const bytes = _what === '4 MiB' ? 4 * MiB : 1000;
    all.data(Buffer.alloc(bytes - 10, 0x20));
    expect(budget.taken).toBe(bytes - 10);
    all.data(Buffer.alloc(11));
    expect(budget.taken).toBe(0);
    all.data(Buffer.from('more'));
    expect(budget.taken).toBe(0);
    all.end();
    expect([client.over, client.chunks.length, kept()]).toEqual(['end', 3, null]);
  });

  it('waits for a client that wants no more for now', () => {
    const { client, all, asking, upstream } = bench();
    all.head(good);
    client.flowing = false;
    expect(all.data(Buffer.from('{'))).toBe(false);
    asking.resume();
    expect(upstream.resumed).toBe(1);
  });

  it('that the server has at once is kept, too', () => {
    const store = createStore(64 * MiB);
    const { question } = questionOf(bindingOf(), (all) => {
      all.head(good);
      all.data(Buffer.from(answer));
      all.end();
    });
    const client = new Recorder();
    fetchWhole(plan, question, client, store, countingBudget(MiB));
    expect([client.text, lookWhole(store, plan)?.body.toString()]).toEqual([answer, answer]);
  });

  it('ends, breaks off or is given up at any moment, and leaves nothing behind but what is whole', () => {
    const parts = fc.array(fc.integer({ min: 1, max: answer.length - 1 }), { maxLength: 4 });
    const ends = fc.constantFrom('end', 'fail', 'abort', 'abort twice');
    fc.assert(
      fc.property(parts, ends, fc.boolean(), fc.constantFrom(10, answer.length, MiB), (cuts, how, headed, room) => {
        const { all, asking, upstream, budget, kept, client, store } = bench({ budget: room });
        if (headed) {
          all.head(good);
          const offsets = [0, ...new Set(cuts)].sort((a, b) => a - b);
          // The last part is missing where it breaks off.
          const last = how === 'end' ? answer.length : undefined;
          for (const [i, from] of offsets.entries()) {
            const to = offsets[i + 1] ?? last;
            if (to !== undefined) all.data(Buffer.from(answer.slice(from, to)));
          }
        }
        if (how === 'end' && headed) all.end();
        else if (how === 'fail') all.fail(failure);
        else asking.abort();
        if (how === 'abort twice') asking.abort();
        const isWhole = how === 'end' && headed && room >= answer.length;
        expect(budget.taken).toBe(0);
        expect(kept() !== null).toBe(isWhole);
        expect(store.entries).toBe(isWhole ? 1 : 0);
        expect(upstream.aborted > 0).toBe(how.startsWith('abort') || (how === 'end' && !headed));
        if (how === 'fail') expect(client.over).toBe(failure);
      }),
      { numRuns: 300 },
    );
  });
});
