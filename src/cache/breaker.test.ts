import { describe, expect, it } from 'vitest';
import { createBreaker } from './breaker.ts';

/** A breaker with a clock that stands still but for `pass`, and what it told. */
function rig() {
  let now = 1_000;
  const told: string[] = [];
  const breaker = createBreaker({ opened: (reason) => told.push(reason), closed: () => told.push('closed') }, () => now);
  const fail = (reason = 'down') => {
    const startedAt = now;
    now += 50;
    breaker.failed(startedAt, reason);
  };
  return { breaker, told, fail, now: () => now, pass: (ms: number) => (now += ms) };
}

function opened() {
  const all = rig();
  for (let i = 0; i < 5; i++) all.fail();
  return all;
}

describe('what is tried', () => {
  it('is left alone after five failures in a row, and the last reason is told once', () => {
    const { breaker, told, fail } = rig();
    for (let i = 1; i <= 4; i++) fail(`${i}`);
    expect(breaker.allows()).toBe(true);
    expect(told).toEqual([]);
    expect(breaker.open).toBe(false);
    fail('5');
    expect(breaker.allows()).toBe(false);
    expect(breaker.open).toBe(true);
    fail('6');
    expect(told).toEqual(['5']);
  });

  it('is tried on as long as it goes well in between', () => {
    const { breaker, told, fail } = rig();
    for (let i = 1; i <= 20; i++) {
      fail();
      if (i % 4 === 0) breaker.passed();
    }
    expect(breaker.allows()).toBe(true);
    expect(told).toEqual([]);
  });

  it('fails once when many fail together', () => {
    const { breaker, now, pass } = rig();
    for (let round = 1; round <= 5; round++) {
      expect(breaker.allows()).toBe(true);
      const startedAt = now();
      pass(50);
      for (let i = 0; i < 20; i++) breaker.failed(startedAt, 'down');
    }
    expect(breaker.allows()).toBe(false);
  });
});

describe('what is left alone', () => {
  it('is tried once after five seconds', () => {
    const { breaker, pass } = opened();
    pass(4_999);
    expect(breaker.allows()).toBe(false);
    pass(1);
    expect(breaker.allows()).toBe(true);
    expect(breaker.allows()).toBe(false);
  });

  it('is tried as before when that goes well, which is told', () => {
    const { breaker, told, fail, pass } = opened();
    pass(5_000);
    breaker.allows();
    expect(breaker.open).toBe(true);
    breaker.passed();
    expect(breaker.open).toBe(false);
    expect(told).toEqual(['down', 'closed']);
    for (let i = 1; i <= 4; i++) fail();
    expect(breaker.allows()).toBe(true);
    breaker.passed();
    expect(told).toEqual(['down', 'closed']);
  });

  it('is left alone for five seconds more when that fails, which is not told again', () => {
    const { breaker, told, fail, pass } = opened();
    pass(5_000);
    expect(breaker.allows()).toBe(true);
    fail();
    pass(4_999);
    expect(breaker.allows()).toBe(false);
    pass(1);
    expect(breaker.allows()).toBe(true);
    expect(told).toEqual(['down']);
  });

  it('is tried no later for what else fails meanwhile, nor for what began before it was tried', () => {
    const { breaker, fail, now, pass } = opened();
    pass(4_000);
    fail();
    pass(950);
    const before = now() - 1;
    expect(breaker.allows()).toBe(true);
    breaker.failed(before, 'late');
    expect(breaker.allows()).toBe(false);
    breaker.passed();
    expect(breaker.allows()).toBe(true);
  });
});
