import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import type { Piece } from './piece.ts';
import { createStore, type Entry, sizeBeside } from './store.ts';

function whole(bytes: number): Entry {
  return { kind: 'whole', body: Buffer.alloc(bytes), contentType: 'application/json', fetchedAt: 0 };
}

/** Bytes of an entry with this key. */
function sizeOf(key: string, bytes: number): number {
  return sizeBeside(key) + bytes;
}

describe('the memory', () => {
  it('gives what was put in, and counts all of it', () => {
    const store = createStore(1 << 20);
    const entry = whole(1000);
    store.set('a', entry);
    expect(store.get('a')).toBe(entry);
    expect(store.get('b')).toBeUndefined();
    expect(store.bytes).toBe(sizeOf('a', 1000));
    store.set('a', whole(10));
    expect(store.bytes).toBe(sizeOf('a', 10));
    store.delete('a');
    expect([store.bytes, store.entries]).toEqual([0, 0]);
  });

  it('counts a part of a buffer as the whole of it, which it holds', () => {
    const store = createStore(1 << 20);
    const body = Buffer.alloc(5000).subarray(0, 10);
    store.set('a', { kind: 'whole', body, contentType: 'application/json', fetchedAt: 0 });
    expect(store.bytes).toBe(sizeOf('a', 5000));
  });

  it('counts the pieces of a range', () => {
    const store = createStore(1 << 20);
    const envelope = { opening: Buffer.alloc(10), closing: Buffer.alloc(10), contentType: '' };
    const arrays = { series: new Uint32Array(8), index: new Uint32Array(2), bytes: Buffer.alloc(1000) };
    const piece: Piece = { first: 0, last: 0, fetchedAt: 0, envelope, ...arrays };
    store.set('a', { kind: 'range', pieces: [piece, piece], shared: null });
    expect(store.bytes).toBeGreaterThan(sizeOf('a', 2 * 1040));
  });

  it('keeps nothing that would take more than a sixteenth, and forgets what it took the place of', () => {
    const store = createStore(16 * 10_000);
    expect(store.largest).toBe(10_000);
    const most = 10_000 - sizeBeside('a');
    store.set('a', whole(most));
    expect(store.get('a')).toBeDefined();
    store.set('a', whole(most + 1));
    expect(store.get('a')).toBeUndefined();
    expect([store.bytes, store.entries]).toEqual([0, 0]);
  });

  it('of nothing keeps nothing', () => {
    const store = createStore(0);
    expect(store.largest).toBe(0);
    store.set('a', whole(0));
    expect(store.get('a')).toBeUndefined();
    expect(store.entries).toBe(0);
  });

  it('forgets first what was not looked at for longest, and never has more than it may', () => {
    const memory = 16 * 2000;
    const steps = fc.array(
      fc.tuple(fc.boolean(), fc.constantFrom(...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'), fc.nat({ max: 1598 })),
      { maxLength: 300, size: 'max' },
    );
    fc.assert(
      fc.property(steps, (steps) => {
        const store = createStore(memory);
        /** The one that was looked at last is the last one. */
        const model = new Map<string, number>();
        for (const [isSet, key, bytes] of steps) {
          if (isSet) {
            model.delete(key);
            model.set(key, bytes);
            store.set(key, whole(bytes));
          } else {
            const size = model.get(key);
            expect(store.get(key) !== undefined).toBe(size !== undefined);
            if (size === undefined) continue;
            model.delete(key);
            model.set(key, size);
          }
          const total = () => [...model].reduce((sum, [key, bytes]) => sum + sizeOf(key, bytes), 0);
          for (const key of model.keys()) if (total() > memory) model.delete(key);
          expect(store.bytes).toBe(total());
          expect(store.entries).toBe(model.size);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('is swept of any keys, and of no others', async () => {
    const keys = fc.uniqueArray(fc.tuple(fc.nat({ max: 2_000 }), fc.boolean()), { selector: ([key]) => key, maxLength: 1_500 });
    await fc.assert(
      fc.asyncProperty(keys, async (keys) => {
        const store = createStore(1 << 24);
        for (const [key] of keys) store.set(String(key), whole(1));
        const gone = new Set(keys.filter(([, isGone]) => isGone).map(([key]) => String(key)));
        await store.sweep((key) => gone.has(key));
        for (const [key] of keys) expect(store.get(String(key)) === undefined).toBe(gone.has(String(key)));
        expect(store.entries).toBe(keys.length - gone.size);
      }),
      { numRuns: 50 },
    );
  });

  it('is used while it is swept, which comes to an end whatever moves meanwhile', async () => {
    const store = createStore(1 << 24);
    for (let key = 0; key < 3_000; key++) store.set(`${key}`, whole(1));
    let swept = false;
    let turns = 0;
    let at = '';
    const sweeping = store
      .sweep((key) => {
        at = key;
        return Number(key) % 2 === 1;
      })
      .then(() => {
        swept = true;
      });
    while (!swept) {
      turns++;
      // What the sweep stands at moves to its beginning.
      store.get(at);
      store.set(`new ${turns}`, whole(1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await sweeping;
    expect(turns).toBeGreaterThan(3);
    expect(store.entries).toBeLessThan(3_000 + turns);
    for (let key = 0; key < 3_000; key += 2) expect(store.get(`${key}`)).toBeDefined();
  });
});
