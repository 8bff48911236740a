/**
 * Against guessing passwords. An attempt is counted before its password is looked at, in a transaction of its own, so guesses at
 * the same moment and at different processes do not slip through; one that succeeds, or was not looked at, is taken back.
 *
 * | counted by                | free                        | then                                        |
 * |---------------------------|-----------------------------|---------------------------------------------|
 * | account and address       | 5, until a day goes without | wait 30 s, doubling with each up to 15 min  |
 * | account, from everywhere  | 30 an hour                  | wait until the hour is over                 |
 * | address (of IPv6 its /64) | 60 an hour                  | wait until the hour is over                 |
 *
 * An account is what was typed: those that do not exist are throttled alike. A new password, and whoever unblocks an account, ends
 * what is counted by that account (`forgetFailuresOf`), not what is counted by the address alone.
 */
import { createHmac } from 'node:crypto';
import { isIP } from 'node:net';
import { PromgateError } from '../errors.ts';
import type { Database } from '../storage/database.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { failuresOf, forgetFailures, putFailures, takeBackFailure } from '../storage/sign-in-failures.ts';
import { addressBits } from './networks.ts';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const DAY = 24 * HOUR;
const FREE = 5;
const FIRST_WAIT = 30 * SECOND;
const LONGEST_WAIT = 900 * SECOND;
const PER_ACCOUNT = 30;
const PER_ADDRESS = 60;

export interface Throttle {
  /**
   * Counts an attempt. Throws `too_many_requests` with `Retry-After` where it has to wait: then nothing is counted, and no password
   * may be looked at. `now` in Unix milliseconds.
   */
  enter(account: TriedAccount, address: string, now: number): Promise<Attempt>;
}

export interface TriedAccount {
  /** As it was typed. */
  readonly username: string;
  /** Of the user who has it; `null`: nobody. The failures can be forgotten by it; how long to wait does not depend on it. */
  readonly userId: number | null;
}

/** One that was counted. At most one of the two is called, once; neither: it failed. */
export interface Attempt {
  /** The password was right: earlier failures from this address are forgotten. As part of the sign-in's transaction. */
  succeeded(trx: Trx): Promise<void>;
  /** No password was looked at. */
  withdraw(): Promise<void>;
}

type Failures = Row<'sign_in_failures'>;

/** How failures are counted by one thing. Times are Unix milliseconds. */
interface Rule {
  /** Whose failures they are; `null`: of no user in particular. */
  readonly userId: number | null;
  /** From when on they count no more. */
  readonly over: (failures: Failures) => number;
  /** Until when the next attempt has to wait. */
  readonly wait: (failures: Failures) => number;
}

/** Forgotten a day after the last one, so that slow guessing does not start anew. */
const doubling = {
  over: ({ last_at }: Failures) => last_at + DAY,
  wait: ({ failures, last_at }: Failures) =>
    failures < FREE ? 0 : last_at + Math.min(FIRST_WAIT * 2 ** (failures - FREE), LONGEST_WAIT),
};

function hourly(most: number): Omit<Rule, 'userId'> {
  const over = ({ first_at }: Failures) => first_at + HOUR;
  return { over, wait: (row) => (row.failures < most ? 0 : over(row)) };
}

const perAccount = hourly(PER_ACCOUNT);
const perAddress = hourly(PER_ADDRESS);

/** `secret`: so that the database does not tell what was typed for usernames, which at times are passwords. */
export function createThrottle(database: Pick<Database, 'read' | 'write'>, secret: Buffer): Throttle {
  const keyOf = (...counted: string[]) => createHmac('sha256', secret).update(JSON.stringify(counted)).digest('hex');

  return {
    async enter({ username, userId }, address, now) {
      const account = username.toLowerCase();
      const block = addressBlock(address);
      const both = keyOf('account and address', account, block);
      const rules = new Map<string, Rule>([
        [both, { userId, ...doubling }],
        [keyOf('account', account), { userId, ...perAccount }],
        [keyOf('address', block), { userId: null, ...perAddress }],
      ]);
      // Who has to wait makes nobody who writes wait.
      await database.read((trx) => countedSoFar(trx, rules, now));
      const counted = await database.write(async (trx) => {
        const rows = (await countedSoFar(trx, rules, now)).map((row) => ({ ...row, failures: row.failures + 1, last_at: now }));
        await putFailures(trx, rows);
        return rows;
      });
      const takeBack = async (trx: Trx, rows: readonly Failures[]) => {
        for (const { key, first_at } of rows) await takeBackFailure(trx, key, first_at);
      };
      return {
        async succeeded(trx) {
          await forgetFailures(trx, both);
          await takeBack(
            trx,
            counted.filter(({ key }) => key !== both),
          );
        },
        withdraw: () => database.write((trx) => takeBack(trx, counted)),
      };
    },
  };
}

/** A row for each rule. Throws where one of them says to wait. */
async function countedSoFar(trx: Trx, rules: ReadonlyMap<string, Rule>, now: number): Promise<Failures[]> {
  const found = await failuresOf(trx, [...rules.keys()]);
  let until = 0;
  const rows = Array.from(rules, ([key, { userId, over, wait }]): Failures => {
    const row = found.get(key);
    // From the future only where a clock went wrong: it must not lock anybody out for as long as that.
    if (row === undefined || over(row) <= now || row.last_at > now + HOUR)
      return { key, user_id: userId, failures: 0, first_at: now, last_at: now };
    until = Math.max(until, wait(row));
    // The account may have been made since.
    return { ...row, user_id: userId };
  });
  if (until > now) throw tooMany(Math.ceil((until - now) / SECOND));
  return rows;
}

function tooMany(seconds: number): PromgateError {
  const inWords = seconds < 120 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`;
  return new PromgateError('too_many_requests', `too many attempts to sign in; try again in ${inWords}`, {
    headers: { 'Retry-After': String(seconds) },
  });
}

/** What one client has: an IPv4 address (also where it is written as IPv6), a /64 of IPv6 (RFC 6177). What is no address stands for itself. */
export function addressBlock(address: string): string {
  const plain = address.replace(/%.*$/, '');
  const family = isIP(plain);
  if (family === 0) return plain;
  const bits = addressBits(plain);
  const isIPv4 = family === 4 || bits >> 32n === 0xffffn;
  return isIPv4 ? `IPv4 ${bits & 0xffff_ffffn}` : `IPv6 ${bits >> 64n}`;
}
