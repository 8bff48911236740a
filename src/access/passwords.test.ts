import type { argon2 } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createPasswords, passwordProblem } from './passwords.ts';

/** An argon2 that costs nothing and answers when it is told to; counts how many run at once. */
function slowArgon2() {
  const running: (() => void)[] = [];
  const derive = ((_algorithm, { tagLength }, done) => {
    running.push(() => done(null, Buffer.alloc(tagLength)));
  }) as typeof argon2;
  return { running, derive };
}

describe('passwords', () => {
  it('are right only as they were set, with the parameters OWASP recommends', async () => {
    const passwords = createPasswords();
    const stored = await passwords.hash('correct horse battery');
    expect(stored).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(await passwords.verify('correct horse battery', stored)).toEqual({ right: true, outdated: false });
    expect(await passwords.verify('correct horse batterY', stored)).toEqual({ right: false, outdated: false });
    expect(await passwords.hash('correct horse battery')).not.toBe(stored);
  });

  it('are the same in whatever form of Unicode they are typed', async () => {
    const passwords = createPasswords();
    const stored = await passwords.hash('pa\u0301ssword with acce\u0301nts');
    expect(await passwords.verify('p\u00e1ssword with acc\u00e9nts', stored)).toMatchObject({ right: true });
  });

  it('that were made with less work are told apart when they are right', async () => {
    const calls: unknown[] = [];
    const passwords = createPasswords(((_algorithm, input, done) => {
      calls.push([input.memory, input.passes, input.parallelism, input.nonce.toString(), input.tagLength]);
      done(null, Buffer.alloc(32, 1));
    }) as typeof argon2);
    const tag = Buffer.alloc(32, 1).toString('base64').replace('=', '');
    expect(await passwords.verify('p', `$argon2id$v=19$m=4096,t=1,p=1$c29tZXNhbHQ$${tag}`)).toEqual({
      right: true,
      outdated: true,
    });
    expect(await passwords.verify('p', `$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$${tag}`)).toEqual({
      right: true,
      outdated: false,
    });
    expect(calls).toEqual([
      [4096, 1, 1, 'somesalt', 32],
      [65536, 3, 4, 'somesalt', 32],
    ]);
  });

  it.each([
    null,
    '',
    'correct horse battery',
    '$2b$10$abcdefghijklmnopqrstuv',
    '$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=4,t=2,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0$',
  ])('nobody has the password of %j, and to find out costs the usual work', async (stored) => {
    const work: unknown[] = [];
    const passwords = createPasswords(((_algorithm, { memory, passes, tagLength }, done) => {
      work.push([memory, passes]);
      done(null, Buffer.alloc(tagLength));
    }) as typeof argon2);
    expect(await passwords.verify('correct horse battery', stored)).toEqual({ right: false, outdated: false });
    expect(work).toEqual([[19_456, 2]]);
  });

  it('that are too long to be any are not brought into their normal form, which could take an hour', async () => {
    const lengths: number[] = [];
    const passwords = createPasswords(((_algorithm, { message, tagLength }, done) => {
      lengths.push(Buffer.byteLength(message));
      done(null, Buffer.alloc(tagLength, 1));
    }) as typeof argon2);
    const stored = await passwords.hash('correct horse battery');
    // Marks in the order that is worst to sort.
    const long = 'a'.repeat(4_094) + '\u0301\u0316'.repeat(500_000);
    expect(passwordProblem(long, 'ada')).toContain('at most 1024');
    // With this argon2 any other password would be right.
    expect(await passwords.verify(long, stored)).toEqual({ right: false, outdated: false });
    expect(await passwords.verify(long.slice(0, 4_096), stored)).toEqual({ right: true, outdated: false });
    expect(lengths).toHaveLength(3);
    expect(Math.max(...lengths)).toBeLessThan(8_192);
  });

  it('are looked at two at once; some wait, and more are turned away with 503', async () => {
    const { running, derive } = slowArgon2();
    const passwords = createPasswords(derive);
    const all = Array.from({ length: 30 }, () =>
      passwords.verify('x', null).then(
        () => 'done',
        (error: unknown) => error,
      ),
    );
    const refused = (await Promise.race(all)) as { status: number; headers: unknown };
    expect(refused).toMatchObject({ status: 503, headers: { 'Retry-After': '2' } });
    for (let finished = 0; finished < 18; finished++) {
      expect(running.length).toBe(finished === 17 ? 1 : 2);
      running.shift()?.();
      await new Promise(setImmediate);
    }
    const results = await Promise.all(all);
    expect(results.filter((result) => result === 'done')).toHaveLength(18);
    // And all places are free again.
    const again = [passwords.verify('x', null), passwords.verify('x', null), passwords.verify('x', null)];
    await new Promise(setImmediate);
    expect(running).toHaveLength(2);
    while (running.length > 0) {
      running.shift()?.();
      await new Promise(setImmediate);
    }
    await Promise.all(again);
  });

  it.each([
    ['twelve chars', null],
    ['élève-déçu-!', null],
    ['eleven char', 'at least 12'],
    // One of these is two units of UTF-16; eleven of them are not twelve characters.
    ['😀😁😂🤣😃😄😅😆😉😊😋', 'at least 12'],
    ['😀😁😂🤣😃😄😅😆😉😊😋😎', null],
    ['aaaaaaaaaaaaaaaa', 'over and over'],
    ['Ada-Lovelace-1815', 'the username'],
    ['a'.repeat(1024).replace(/^a/, 'b'), null],
    ['a'.repeat(1025).replace(/^a/, 'b'), 'at most 1024'],
  ])('%j as a new one: %j', (password, problem) => {
    const found = passwordProblem(password, 'ada-lovelace-1815');
    if (problem === null) expect(found).toBeNull();
    else expect(found).toContain(problem);
  });
});
