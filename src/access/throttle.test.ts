import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { openDatabase } from '../storage/database.ts';
import { forgetFailuresOf } from '../storage/sign-in-failures.ts';
import { addressBlock, createThrottle, type Throttle } from './throttle.ts';

const secret = Buffer.alloc(32, 7);
const start = 1_800_000_000_000;
const second = 1_000;
const ada = { username: 'ada', userId: null };
const known = { username: 'ada', userId: 17 };
const hour = 3_600 * second;

describe.each(dialects)('attempts to sign in, with %s', (dialect) => {
  let home: TestDatabase;
  let throttle: Throttle;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    throttle = createThrottle(home.database, secret);
  });
  afterEach(() => home.remove());

  /** Fails, and gives how many seconds to wait where it was not let in. */
  const fail = async (username: string, address: string, now: number, by = throttle): Promise<number> => {
    try {
      await by.enter({ username, userId: null }, address, now);
      return 0;
    } catch (error) {
      expect(error).toMatchObject({ code: 'too_many_requests' });
      return Number((error as { headers: Record<string, string> }).headers['Retry-After']);
    }
  };
  const failTimes = async (count: number, username: string, address: string, now: number) => {
    for (let i = 0; i < count; i++) expect(await fail(username, address, now)).toBe(0);
  };

  it('are free five times for an account and address; then each waits twice as long, up to 15 minutes', async () => {
    await failTimes(5, 'ada', '192.0.2.1', start);
    let now = start;
    for (const wait of [30, 60, 120, 240, 480, 900, 900]) {
      expect(await fail('ada', '192.0.2.1', now)).toBe(wait);
      expect(await fail('ADA', '192.0.2.1', now + wait * second - 1)).toBe(1);
      now += wait * second;
      expect(await fail('ada', '192.0.2.1', now)).toBe(0);
    }
  });

  it('from elsewhere, and for other accounts, go on', async () => {
    await failTimes(5, 'ada', '192.0.2.1', start);
    expect(await fail('ada', '192.0.2.1', start)).toBe(30);
    expect(await fail('ada', '192.0.2.2', start)).toBe(0);
    expect(await fail('bob', '192.0.2.1', start)).toBe(0);
  });

  it('are 30 in an hour for an account from everywhere', async () => {
    for (let i = 0; i < 30; i++) expect(await fail('ada', `192.0.2.${i}`, start + i * second)).toBe(0);
    expect(await fail('ada', '198.51.100.1', start + 30 * second)).toBe(3570);
    expect(await fail('bob', '198.51.100.1', start + 30 * second)).toBe(0);
    expect(await fail('ada', '198.51.100.1', start + hour)).toBe(0);
  });

  it('are not held up by failures of a time that has not come: the clock was wrong then', async () => {
    await failTimes(5, 'ada', '192.0.2.1', start + 24 * hour);
    expect(await fail('ada', '192.0.2.1', start)).toBe(0);
    // Clocks of several processes may differ a little.
    await failTimes(5, 'bob', '192.0.2.1', start + 5 * second);
    expect(await fail('bob', '192.0.2.1', start)).toBe(35);
  });

  it('are 60 in an hour for an address, whatever the account', async () => {
    for (let i = 0; i < 60; i++) expect(await fail(`user${i}`, '2001:db8::1', start)).toBe(0);
    expect(await fail('somebody', '2001:db8:0:0:ffff::2', start)).toBe(3600);
    expect(await fail('somebody', '2001:db8:0:1::2', start)).toBe(0);
    expect(await fail('somebody', '2001:db8::1', start + hour)).toBe(0);
  });

  it('that succeed are not counted, and make the earlier failures of the address forgotten', async () => {
    for (let round = 0; round < 40; round++) {
      const attempt = await throttle.enter(ada, '192.0.2.1', start);
      await home.database.write((trx) => attempt.succeeded(trx));
    }
    await failTimes(4, 'ada', '192.0.2.1', start);
    const attempt = await throttle.enter(ada, '192.0.2.1', start);
    await home.database.write((trx) => attempt.succeeded(trx));
    await failTimes(5, 'ada', '192.0.2.1', start);
    expect(await fail('ada', '192.0.2.1', start)).toBe(30);
    // The account's own count kept the failures: nine so far.
    await failTimes(5, 'ada', '192.0.2.2', start);
    for (let i = 14; i < 30; i++) expect(await fail('ada', `198.51.100.${i}`, start)).toBe(0);
    expect(await fail('ada', '203.0.113.1', start)).toBe(3600);
  });

  it('in which no password was looked at are not counted', async () => {
    for (let round = 0; round < 70; round++) await (await throttle.enter(ada, '192.0.2.1', start)).withdraw();
    await failTimes(5, 'ada', '192.0.2.1', start);
  });

  it('that are turned away count for nothing: whoever waits long enough is let in', async () => {
    await failTimes(5, 'ada', '192.0.2.1', start);
    for (let i = 0; i < 50; i++) await fail('ada', '192.0.2.1', start + i);
    expect(await fail('ada', '192.0.2.1', start + 30 * second)).toBe(0);
  });

  it('are forgotten after a day without', async () => {
    await failTimes(5, 'ada', '192.0.2.1', start);
    expect(await fail('ada', '192.0.2.1', start + 24 * hour - second)).toBe(0);
    // That was the sixth.
    expect(await fail('ada', '192.0.2.1', start + 24 * hour)).toBe(59);
    await failTimes(5, 'ada', '192.0.2.1', start + 48 * hour);
  });

  it('of 100 guesses at the same moment five are let in, also at two processes, and after a restart', async () => {
    const other = await openDatabase(home.settings);
    try {
      const otherThrottle = createThrottle(other, secret);
      const waits = await Promise.all(
        Array.from({ length: 100 }, (_, i) => fail('ada', '192.0.2.1', start, i % 2 === 0 ? throttle : otherThrottle)),
      );
      expect(waits.filter((wait) => wait === 0)).toHaveLength(5);
      expect(await fail('ada', '192.0.2.1', start, createThrottle(home.database, secret))).toBe(30);
    } finally {
      await other.close();
    }
  });

  it('are forgotten by the account, from every address, at every process; those of the address and of others are not', async () => {
    const bob = { username: 'bob', userId: 18 };
    for (let i = 0; i < 5; i++) await throttle.enter(known, '192.0.2.1', start);
    for (let i = 0; i < 25; i++) await throttle.enter(known, `198.51.100.${i}`, start);
    for (let i = 0; i < 5; i++) await throttle.enter(bob, '192.0.2.1', start);
    await expect(throttle.enter(known, '203.0.113.1', start)).rejects.toMatchObject({ headers: { 'Retry-After': '3600' } });
    expect(await home.database.write((trx) => forgetFailuresOf(trx, known.userId))).toBe(true);
    expect(await home.database.write((trx) => forgetFailuresOf(trx, known.userId))).toBe(false);
    const other = await openDatabase(home.settings);
    try {
      const elsewhere = createThrottle(other, secret);
      for (let i = 0; i < 5; i++) await elsewhere.enter(known, '192.0.2.1', start);
    } finally {
      await other.close();
    }
    expect(await fail('bob', '192.0.2.1', start)).toBe(30);
    // The address had fifteen so far.
    for (let i = 0; i < 45; i++) expect(await fail(`user${i}`, '192.0.2.1', start)).toBe(0);
    expect(await fail('somebody', '192.0.2.1', start)).toBe(3600);
  });

  it('from before the account was made are forgotten with its others once it was tried again', async () => {
    await failTimes(4, 'ada', '192.0.2.1', start);
    await throttle.enter(known, '192.0.2.1', start);
    expect(await fail('ada', '192.0.2.1', start)).toBe(30);
    await home.database.write((trx) => forgetFailuresOf(trx, known.userId));
    await failTimes(5, 'ada', '192.0.2.1', start);
  });

  it('leave nothing readable in the database', async () => {
    await fail('hunter2-typed-in-the-wrong-field', '192.0.2.1', start);
    const rows = await home.database.db.selectFrom('sign_in_failures').selectAll().execute();
    expect(rows).toHaveLength(3);
    expect(rows.every(({ key }) => /^[0-9a-f]{64}$/.test(key))).toBe(true);
  });
});

describe('addresses', () => {
  it.each([
    ['192.0.2.1', '::ffff:192.0.2.1', true],
    ['192.0.2.1', '192.0.2.2', false],
    ['2001:db8::1', '2001:db8:0:0:1:2:3:4', true],
    ['2001:db8::1', '2001:db8:0:1::1', false],
    ['fe80::1%eth0', 'fe80::2', true],
    ['::1', '::2', true],
    ['::1', '0.0.0.1', false],
    ['', 'unknown', false],
  ])('%s and %s are one client: %s', (one, two, same) => {
    expect(addressBlock(one) === addressBlock(two)).toBe(same);
  });
});
