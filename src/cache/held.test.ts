import { describe, expect, it } from 'vitest';
import { createHeld } from './held.ts';

const MiB = 1024 * 1024;
const part = (mebibytes: number): [object, number] => [{}, mebibytes * MiB];
const never = () => expect.unreachable();

describe('what answers under way are made of', () => {
  it('is counted once for all answers that are made of it, until the last of them is over', () => {
    const held = createHeld(10 * MiB);
    const [a, b] = [part(4), part(5)];
    const first = held.hold(new Map([a, b]), never);
    const second = held.hold(new Map([a]), never);
    expect(held.bytes).toBe(9 * MiB);
    expect(held.hold(new Map([part(2)]), never)).toBeNull();
    first?.();
    first?.();
    expect(held.bytes).toBe(4 * MiB);
    second?.();
    expect(held.bytes).toBe(0);
  });

  it('is not counted where it is little, so that small answers always find room', () => {
    const held = createHeld(2 * MiB);
    held.hold(new Map([part(2)]), never);
    expect(held.hold(new Map([part(0.5), part(0.5)]), never)).not.toBeNull();
    expect(held.bytes).toBe(2 * MiB);
  });

  it('is given up for others after half a minute, the oldest first and no more than needed', () => {
    let now = 0;
    const held = createHeld(6 * MiB, () => now);
    const ended: string[] = [];
    const begin = (name: string) => {
      const end = held.hold(new Map([part(3)]), () => {
        ended.push(name);
        end?.();
      });
      return end !== null;
    };
    expect([begin('a'), begin('b')]).toEqual([true, true]);
    now = 29_999;
    expect([begin('c'), ended]).toEqual([false, []]);
    now = 30_000;
    expect([begin('c'), ended]).toEqual([true, ['a']]);
    expect(held.bytes).toBe(6 * MiB);
  });
});
