import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bindingOf, cacheRules } from '../../test/support/cache-question.ts';
import { fc } from '../../test/support/fast-check.ts';
import { assemble, type Part } from './assemble.ts';
import type { RangePlan } from './cacheable.ts';
import type { Coverage } from './extents.ts';
import type { Piece, Span } from './piece.ts';
import type { CacheRules } from './policy.ts';
import { createRangeKeeper, type RangeKeeper, type Told } from './range-keeper.ts';
import { createScanner } from './scan.ts';
import type { SharedTier } from './shared-tier.ts';
import { createStore } from './store.ts';

const MiB = 1024 * 1024;
const minute = 60_000;
const day = 1440 * minute;
const step = 15_000;
/** Point 0 of the tests' grid is at 1970; this is one of its points. */
const start = Date.parse('2026-01-01T12:00:00Z');
const settling = cacheRules.recentWindow;

beforeEach(() => {
  vi.useFakeTimers({ now: start, toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const point = (time: number) => Math.floor(time / step);
/** The last point that cannot change any more. */
const settled = () => point(Date.now() - settling);

function planOf(span: Span, change: Partial<RangePlan> = {}): RangePlan {
  const grid = { step, phase: 0 };
  return { kind: 'range', key: 'key', grid, span, settling, settledFrom: -Infinity, rangedOnVictoriaMetrics: false, ...change };
}

/** Of an answer with this value at each point. */
function pieceOf({ first, last }: Span, value: (k: number) => string = String, fetchedAt = Date.now(), phase = 0): Piece {
  const samples: string[] = [];
  for (let k = first; k <= last; k++) samples.push(`[${(phase + k * step) / 1000},"${value(k)}"]`);
  const scanner = createScanner({ step, phase }, { first, last }, 'application/json', 64 * MiB);
  const series = `{"metric":{},"values":[${samples.join(',')}]}`;
  scanner.push(Buffer.from(`{"status":"success","data":{"resultType":"matrix","result":[${series}]}}`));
  const piece = scanner.finish(fetchedAt);
  if (piece === null) throw new Error('not understood');
  return piece;
}

/** Point → value. */
function valuesOf(parts: readonly Part[]): Map<number, string> {
  const answer = JSON.parse(Buffer.concat([...assemble(parts)]).toString() || '{"data":{"result":[]}}');
  const samples: [number, string][] = answer.data.result[0]?.values ?? [];
  return new Map(samples.map(([time, value]) => [point(time * 1000), value]));
}

function pointsIn(spans: readonly Span[]): number {
  return spans.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

/** As Redis: what comes out is another copy of what went in, and goes after its time. Everything is looked at. */
class StrictTier implements SharedTier {
  gets = 0;
  readonly sets: { key: string; points: number; ttl: number }[] = [];
  readonly #values = new Map<string, { pieces: readonly Piece[]; until: number }>();

  async get(key: string): Promise<readonly Piece[] | null> {
    this.gets++;
    const value = this.#values.get(key);
    return value === undefined || value.until <= Date.now() ? null : structuredCopy(value.pieces);
  }

  set(key: string, pieces: readonly Piece[], ttl: number): void {
    expect(ttl).toBeGreaterThanOrEqual(1);
    for (const [i, { first, last }] of pieces.entries()) {
      expect(first).toBeGreaterThan(pieces[i - 1]?.last ?? -1);
      expect(last).toBeGreaterThanOrEqual(first);
    }
    this.sets.push({ key, points: pointsIn(pieces), ttl });
    this.#values.set(key, { pieces: structuredCopy(pieces), until: Date.now() + ttl });
  }

  clear(): void {
    this.#values.clear();
  }

  async close(): Promise<void> {}
}

function structuredCopy(pieces: readonly Piece[]): Piece[] {
  return pieces.map(({ first, last, fetchedAt, envelope, bytes, series, index }) => ({
    first,
    last,
    fetchedAt,
    envelope: { ...envelope },
    // Not of Node's pool, which would count whole.
    bytes: Buffer.from(new Uint8Array(bytes).buffer),
    series: Uint32Array.from(series),
    index: Uint32Array.from(index),
  }));
}

const told = (change: Partial<Told> = {}): Told => ({ serverTime: Date.now(), roundsTimes: false, ...change });

/** A process; `fetch` keeps an answer for a span. */
function process(tier: SharedTier | null = null, { rules = cacheRules, memory = 64 * MiB } = {}) {
  const store = createStore(memory);
  const keeper = createRangeKeeper(store, tier);
  const binding = bindingOf(null, rules);
  const fetch = (span: Span, piece = pieceOf(span)) => keeper.keep(planOf(span), binding, piece, told());
  const look = (span: Span) => keeper.look(planOf(span), rules);
  const askShared = (span: Span) => keeper.askShared(planOf(span), rules, look(span));
  return { store, keeper, binding, rules, fetch, look, askShared };
}

describe('what is kept of a piece', () => {
  it('is what cannot change any more', () => {
    const { fetch, look } = process();
    const span = { first: settled() - 9, last: settled() + 30 };
    fetch(span);
    const { parts, gaps } = look(span);
    expect(parts.map(({ span }) => span)).toEqual([{ first: settled() - 9, last: settled() }]);
    expect(gaps).toEqual([{ first: settled() + 1, last: settled() + 30 }]);
    expect(parts[0]?.piece.last).toBe(settled());
  });

  it('is nothing where all can', () => {
    const { fetch, store } = process();
    fetch({ first: settled() + 1, last: settled() + 30 });
    expect(store.entries).toBe(0);
  });

  const span = { first: point(start - day), last: point(start) };
  const phased = () => ({ plan: planOf(span, { grid: { step, phase: 1000 } }), piece: pieceOf(span, String, Date.now(), 1000) });
  it.each<[string, boolean, (keeper: RangeKeeper) => void]>([
    [
      'a part, of a server whose clock is behind',
      true,
      (keeper) => keeper.keep(planOf(span), bindingOf(), pieceOf(span), told({ serverTime: start - 60 * minute })),
    ],
    [
      'nothing, of a server whose clock is a day behind',
      false,
      (keeper) => keeper.keep(planOf(span), bindingOf(), pieceOf(span), told({ serverTime: start - day })),
    ],
    [
      'nothing that reads a moment which the server’s clock has not reached',
      false,
      (keeper) => keeper.keep(planOf(span, { settledFrom: start + 1 }), bindingOf(), pieceOf(span), told()),
    ],
    [
      'all that reads a moment which it has',
      true,
      (keeper) => keeper.keep(planOf(span, { settledFrom: start }), bindingOf(), pieceOf(span), told()),
    ],
    [
      'all of a VictoriaMetrics, from a multiple of the step on',
      true,
      (keeper) => keeper.keep(planOf(span), bindingOf('victoriametrics'), pieceOf(span), told({ roundsTimes: true })),
    ],
    [
      'nothing of a VictoriaMetrics from elsewhere on',
      false,
      (keeper) => keeper.keep(phased().plan, bindingOf('victoriametrics'), phased().piece, told()),
    ],
    [
      'nothing of what turns out to be one',
      false,
      (keeper) => keeper.keep(phased().plan, bindingOf(), phased().piece, told({ roundsTimes: true })),
    ],
    ['all of a Prometheus', true, (keeper) => keeper.keep(phased().plan, bindingOf('prometheus'), phased().piece, told())],
    [
      'nothing of a VictoriaMetrics that hangs on the range',
      false,
      (keeper) =>
        keeper.keep(planOf(span, { rangedOnVictoriaMetrics: true }), bindingOf(), pieceOf(span), told({ roundsTimes: true })),
    ],
    [
      'all of a Prometheus that does on another',
      true,
      (keeper) => keeper.keep(planOf(span, { rangedOnVictoriaMetrics: true }), bindingOf(), pieceOf(span), told()),
    ],
  ])('is %s', (_what, isKept, keep) => {
    const store = createStore(64 * MiB);
    keep(createRangeKeeper(store, null));
    expect(store.entries).toBe(isKept ? 1 : 0);
  });

  it('goes by the server’s clock where that is behind', () => {
    const { keeper, binding, look } = process();
    keeper.keep(planOf(span), binding, pieceOf(span), told({ serverTime: start - 60 * minute }));
    expect(look(span).parts.at(-1)?.span.last).toBe(point(start - 60 * minute - settling));
  });

  it('is not given when it is too old, and goes when something new comes', () => {
    const { fetch, look, store } = process();
    const [old, recent] = [
      { first: 0, last: 9 },
      { first: 100, last: 109 },
    ];
    fetch(old);
    vi.setSystemTime(start + day - 1);
    expect(look(old).parts.length).toBe(1);
    vi.setSystemTime(start + day);
    expect(look(old).parts).toEqual([]);
    fetch(recent);
    const entry = store.get('key');
    expect(entry?.kind === 'range' && entry.pieces.map(({ first }) => first)).toEqual([100]);
  });

  it('is what was fetched last, where there is no room for all', () => {
    const { fetch, look, store } = process(null, { memory: 16 * 20_000 });
    const spans = [0, 1000, 2000, 3000].map((first) => ({ first, last: first + 200 }));
    for (const [i, span] of spans.entries()) {
      vi.setSystemTime(start + i);
      fetch(span);
    }
    const there = spans.map((span) => look(span).parts.length);
    expect(there.at(-1)).toBe(1);
    expect(there).toEqual([...there].sort());
    expect(there[0]).toBe(0);
    expect(store.bytes).toBeLessThanOrEqual(store.largest);
    fetch({ first: 5000, last: 7000 });
    expect(store.entries).toBe(0);
  });
});

const hour: Span = { first: point(start - 60 * minute), last: point(start) };
const past: Span = { first: point(start - 120 * minute), last: point(start - 60 * minute) };

describe('the memory that processes share', () => {
  it('is not asked where there is none', () => {
    expect(process().askShared(hour)).toBeNull();
  });

  it.each<[string, Span, Span | null, boolean]>([
    ['nothing is here', hour, null, true],
    ['nothing but what is recent is missing', hour, hour, false],
    ['little is missing, and the server has to be asked anyway', hour, { first: hour.first + 10, last: hour.last }, false],
    ['much is missing', hour, { first: hour.first + 100, last: hour.last }, true],
    ['little is missing, and then the server need not be asked', past, { first: past.first + 1, last: past.last }, true],
    ['nothing is missing', past, past, false],
  ])('is asked where it may spare a question: %s', async (_what, span, here, isAsked) => {
    const tier = new StrictTier();
    const { fetch, askShared } = process(tier);
    if (here !== null) fetch(here);
    const asking = askShared(span);
    expect([asking !== null, tier.gets]).toEqual([isAsked, isAsked ? 1 : 0]);
    await asking;
  });

  it('gives one process what another fetched, which is then here, and not written back', async () => {
    const tier = new StrictTier();
    const [a, b] = [process(tier), process(tier)];
    a.fetch(hour);
    expect(tier.sets).toEqual([{ key: 'key', points: settled() - hour.first + 1, ttl: day }]);
    const found = await b.askShared(hour);
    expect(found).toEqual(a.look(hour));
    expect(b.look(hour)).toEqual(found);
    b.fetch({ first: settled() - 5, last: settled() + 1 });
    expect(tier.sets.length).toBe(1);
  });

  it('adds to what is here, and does not take its place', async () => {
    const tier = new StrictTier();
    const [a, b] = [process(tier), process(tier)];
    const middle = { first: past.first + 100, last: past.first + 150 };
    a.fetch(
      past,
      pieceOf(past, () => '1'),
    );
    vi.setSystemTime(start + 1000);
    b.fetch(
      middle,
      pieceOf(middle, () => '2'),
    );
    const found = await b.askShared(past);
    // What b wrote is in the place of what a had written.
    expect(found?.gaps.length).toBe(2);
    a.fetch({ first: past.first - 500, last: past.last });
    const more = await b.askShared(past);
    expect(more?.gaps).toEqual([]);
    const values = valuesOf(more?.parts ?? []);
    for (let k = middle.first; k <= middle.last; k++) expect(values.get(k)).toBe('2');
  });

  it('that has nothing changes nothing', async () => {
    const { askShared, fetch, look } = process(new StrictTier());
    fetch({ first: past.first, last: past.first });
    const before = look(past);
    expect(await askShared(past)).toEqual(before);
  });

  it('does not give what is too old by this process’s rules', async () => {
    const tier = new StrictTier();
    const rules: CacheRules = { ...cacheRules, maxAge: 10 * minute };
    const [a, b] = [process(tier), process(tier, { rules })];
    a.fetch(past);
    vi.setSystemTime(start + 10 * minute);
    const next = { first: past.last + 1, last: past.last + 200 };
    b.fetch(next);
    // In the place of what b wrote.
    a.fetch({ first: past.first - 1000, last: past.first - 1 });
    const found = await b.askShared({ first: past.first, last: next.last });
    expect(found?.parts.map(({ span }) => span)).toEqual([next]);
    // Put together they would be as old as the oldest.
    expect(b.look(next).gaps).toEqual([]);
  });

  it('is written again when there is a tenth more, or anything more after a minute', () => {
    const tier = new StrictTier();
    const { fetch } = process(tier);
    fetch({ first: 0, last: 99 });
    fetch({ first: 100, last: 108 });
    expect(tier.sets.length).toBe(1);
    fetch({ first: 109, last: 110 });
    expect(tier.sets.at(-1)).toMatchObject({ points: 111 });
    vi.setSystemTime(start + minute - 1);
    fetch({ first: 111, last: 111 });
    expect(tier.sets.length).toBe(2);
    vi.setSystemTime(start + minute);
    fetch({ first: 112, last: 112 });
    expect(tier.sets.at(-1)).toMatchObject({ points: 113 });
    vi.setSystemTime(start + 60 * minute);
    for (let k = 0; k < 112; k++) fetch({ first: k, last: k });
    expect(tier.sets.length).toBe(3);
  });

  it('is written anew when what it had has gone', () => {
    const tier = new StrictTier();
    const { fetch } = process(tier);
    fetch({ first: 0, last: 99 });
    vi.setSystemTime(start + 1000);
    fetch({ first: 200, last: 250 });
    expect(tier.sets.map(({ points, ttl }) => [points, ttl])).toEqual([
      [100, day],
      [151, day - 1000],
    ]);
    vi.setSystemTime(start + day);
    fetch({ first: 0, last: 99 });
    expect(tier.sets.at(-1)).toEqual({ key: 'key', points: 151, ttl: 1000 });
    vi.setSystemTime(start + day + 1000);
    fetch({ first: 0, last: 20 });
    expect(tier.sets.at(-1)).toMatchObject({ points: 100 });
  });

  it('gets what the server says in the place of what proved wrong, or nothing', async () => {
    const tier = new StrictTier();
    const [a, b] = [process(tier), process(tier)];
    a.fetch(
      past,
      pieceOf(past, () => '1'),
    );
    a.keeper.replace(
      planOf(past),
      a.binding,
      pieceOf({ first: past.first, last: past.first + 9 }, () => '2'),
      told(),
    );
    expect(valuesOf(a.look(past).parts)).toEqual(new Map(Array.from({ length: 10 }, (_, i) => [past.first + i, '2'])));
    expect(valuesOf((await b.askShared(past))?.parts ?? [])).toEqual(valuesOf(a.look(past).parts));
    a.keeper.replace(planOf(past), a.binding, pieceOf(past), told({ serverTime: 0 }));
    vi.setSystemTime(start + 1);
    expect([a.store.entries, (await process(tier).askShared(past))?.parts]).toEqual([0, []]);
  });
});

describe('two processes with a shared memory, whatever they are asked', () => {
  it('give only what cannot change any more, no older than allowed', async () => {
    const maxAge = 30 * minute;
    const rules: CacheRules = { ...cacheRules, maxAge };
    const ask = fc.record({
      who: fc.constantFrom(0, 1),
      /** Points back from now. */
      from: fc.integer({ min: 0, max: 240 }),
      length: fc.integer({ min: 1, max: 240 }),
      wait: fc.oneof(fc.constantFrom(0, step), fc.nat({ max: 5 * minute })),
      event: fc.oneof(
        { weight: 10, arbitrary: fc.constant('none') },
        { weight: 1, arbitrary: fc.constantFrom('restart', 'redis') },
      ),
    });
    let shared = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(ask, { minLength: 5, maxLength: 60 }), async (asks) => {
        vi.setSystemTime(start);
        const tier = new StrictTier();
        const processes = [process(tier, { rules }), process(tier, { rules })];
        /** When each point was last fetched. */
        const fetched = new Map<number, number>();
        for (const { who, from, length, wait, event } of asks) {
          vi.setSystemTime(Date.now() + wait);
          if (event === 'redis') tier.clear();
          if (event === 'restart') processes[who] = process(tier, { rules });
          const { look, askShared, fetch } = processes[who] ?? process(tier, { rules });
          const first = point(Date.now()) - from;
          const span = { first, last: Math.min(point(Date.now()), first + length - 1) };
          const here = look(span);
          const found: Coverage = (await askShared(span)) ?? here;
          if (pointsIn(found.gaps) < pointsIn(here.gaps)) shared++;
          expect(pointsIn(found.parts.map(({ span }) => span)) + pointsIn(found.gaps)).toBe(pointsIn([span]));
          const values = valuesOf(found.parts);
          for (const part of found.parts) {
            expect(part.piece.fetchedAt).toBeGreaterThan(Date.now() - maxAge);
            for (let k = part.span.first; k <= part.span.last; k++) {
              expect(values.get(k)).toBe('1');
              expect(part.piece.fetchedAt).toBeLessThanOrEqual(fetched.get(k) ?? 0);
            }
          }
          // As long as a point may change, it is another one.
          const last = settled();
          for (const gap of found.gaps)
            fetch(
              gap,
              pieceOf(gap, (k) => (k <= last ? '1' : '0')),
            );
          for (const gap of found.gaps) for (let k = gap.first; k <= gap.last; k++) fetched.set(k, Date.now());
        }
        for (const { ttl } of tier.sets) expect(ttl).toBeLessThanOrEqual(maxAge);
      }),
      { numRuns: 25 },
    );
    expect(shared).toBeGreaterThan(20);
  });

  it('that are looked at all day by a step more each time write once a minute, not once a step', async () => {
    const tier = new StrictTier();
    const a = process(tier);
    for (let time = start; time < start + 240 * minute; time += step) {
      vi.setSystemTime(time);
      const span = { first: point(time - 60 * minute), last: point(time) };
      for (const gap of a.look(span).gaps) a.fetch(gap);
    }
    const firstWrites = 30;
    expect(tier.sets.length).toBeLessThan(240 + firstWrites);
    expect(tier.sets.length).toBeGreaterThan(200);
  });
});
