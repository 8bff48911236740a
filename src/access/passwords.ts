/**
 * Passwords: the rule for new ones, and argon2id with OWASP's parameters (Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane),
 * kept as PHC strings: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`. The work is done on libuv's threads.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { PromgateError } from '../errors.ts';

const MIN_LENGTH = 12;
const MAX_LENGTH = 1024;
/** UTF-16 units, as typed: accents may stand apart from their letters. To find the normal form of much more can take minutes. */
const MAX_TYPED = 4 * MAX_LENGTH;
const PARAMETERS = { memory: 19_456, passes: 2, parallelism: 1 } as const;
const SALT_BYTES = 16;
const TAG_BYTES = 32;
/** There are four threads for all that the process reads, resolves and compresses: sign-ins must not take them all. */
const AT_ONCE = 2;
/** Who has to wait longer than these take is better told to come back. */
const MOST_WAITING = 16;

/** What is wrong with a new password, in words for its owner, or `null`. NIST SP 800-63B, 3.1.1.2: length counts, not kinds of characters. */
export function passwordProblem(password: string, username: string): string | null {
  const text = normal(password.slice(0, MAX_TYPED));
  const length = [...text].length;
  if (length < MIN_LENGTH) return `a password must have at least ${MIN_LENGTH} characters`;
  if (length > MAX_LENGTH || password.length > MAX_TYPED) return `a password may have at most ${MAX_LENGTH} characters`;
  if (text.toLowerCase() === username.toLowerCase()) return 'the password must not be the username';
  return new Set(text).size === 1 ? 'the password must not be one character over and over' : null;
}

export interface Passwords {
  /** The PHC string of a new password. Throws `unavailable` where too many wait. */
  hash(password: string): Promise<string>;
  /**
   * Whether the password is the one that `stored` was made of; `null`, and what is no PHC string of argon2id, is nobody's, and
   * costs the same work, as does a password that is too long to be one. `outdated`: it was right, and made with less work than is usual now. Throws `unavailable` where too many wait.
   */
  verify(password: string, stored: string | null): Promise<{ right: boolean; outdated: boolean }>;
}

/** `derive` is for tests, which count how often it is called. */
export function createPasswords(derive: typeof argon2 = argon2): Passwords {
  const take = turns();

  function work(password: string, salt: Buffer, length: number, parameters: Parameters): Promise<Buffer> {
    return take(
      () =>
        new Promise((resolve, reject) => {
          const input = { message: Buffer.from(normal(password)), nonce: salt, tagLength: length, ...parameters };
          derive('argon2id', input, (error, tag) => (error === null ? resolve(tag) : reject(error)));
        }),
    );
  }

  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES);
      return format(salt, await work(password, salt, TAG_BYTES, PARAMETERS));
    },
    async verify(password, stored) {
      const known = stored === null || password.length > MAX_TYPED ? null : parse(stored);
      const { salt, tag, parameters } = known ?? NOBODYS;
      const found = await work(password.slice(0, MAX_TYPED), salt, tag.length, parameters);
      const right = timingSafeEqual(found, tag) && known !== null;
      return { right, outdated: right && isLess(parameters) };
    },
  };
}

interface Parameters {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

interface Stored {
  readonly salt: Buffer;
  readonly tag: Buffer;
  readonly parameters: Parameters;
}

const NOBODYS: Stored = { salt: randomBytes(SALT_BYTES), tag: randomBytes(TAG_BYTES), parameters: PARAMETERS };

/** The same text on every keyboard and system (NIST SP 800-63B, 3.1.1.2). */
function normal(password: string): string {
  return password.normalize('NFKC');
}

function isLess({ memory, passes, parallelism }: Parameters): boolean {
  return memory < PARAMETERS.memory || passes < PARAMETERS.passes || parallelism < PARAMETERS.parallelism;
}

function format(salt: Buffer, tag: Buffer): string {
  const { memory, passes, parallelism } = PARAMETERS;
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${plainBase64(salt)}$${plainBase64(tag)}`;
}

/** Base64 without padding, as PHC strings have it. */
function plainBase64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

const PHC = /^\$argon2id\$v=19\$m=([1-9]\d{0,6}),t=([1-9]\d?),p=([1-9]\d?)\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

function parse(stored: string): Stored | null {
  const [, memory, passes, parallelism, salt = '', tag = ''] = PHC.exec(stored) ?? [];
  const parameters = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  // RFC 9106, 3.1: at least 8 KiB for each lane.
  if (!(parameters.memory >= 8 * parameters.parallelism)) return null;
  return { salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64'), parameters };
}

/** Runs at most {@link AT_ONCE} at once, in the order in which they come. */
function turns(): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (task) => {
    if (running >= AT_ONCE) {
      if (waiting.length >= MOST_WAITING) {
        throw new PromgateError('unavailable', 'too many people sign in at this moment; try again in 2s', {
          headers: { 'Retry-After': '2' },
        });
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running++;
    try {
      return await task();
    } finally {
      // The place goes on to the next one.
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
