/**
 * One connection to Redis, kept up in the background: nobody waits for it, and what cannot be sent now is not kept for later.
 * The library reads and writes the protocol; time limits and new connections are ours, because its own end only what it has not
 * sent yet. It speaks RESP 2, which every Redis and Valkey does and which needs no right to ask for.
 */
import { setTimeout as delay } from 'node:timers/promises';

export interface RedisLink {
  /** Whether there is a connection. */
  readonly ready: boolean;
  /**
   * The reply to a command, strings as buffers but for short ones such as `OK`. Rejects with `RedisTimeout` when no reply to
   * anything has come for `silence` (ms) while it waited, with `LinkBusy` when at `deadline` (by `performance.now()`) others' still
   * come before it, else with what Redis says or with what happened to the connection.
   */
  ask(command: readonly (string | Buffer)[], silence: number, deadline?: number): Promise<unknown>;
  /** Breaks the connection off, with all that is unanswered; there will be a new one. */
  drop(reason: string): void;
  /** Ends it for good, at once. */
  close(): Promise<void>;
}

export class RedisTimeout extends Error {}
/** Redis does reply, but so much else is asked of it that this has to do without. */
export class LinkBusy extends Error {}

/** For connecting and for the password to be looked at, in milliseconds. */
const CONNECT_TIMEOUT = 2_000;
/** A connection that replies nothing for so long (ms) while a command waits is taken for dead: there is no other way to see that the machine is gone. */
const SILENCE = 1_000;
/** When this process itself looks so much (ms) too late, it was busy, and what it did not hear is not Redis' silence: it listens once more. */
const LATE = 10;
/** Between two attempts to connect: from the first to the second, doubled each time. Milliseconds. */
const FIRST_WAIT = 100;
const LONGEST_WAIT = 2_000;

/** `onTrouble` hears of each connection that could not be made or broke, and when (`performance.now()`) that was begun. */
export function openRedisLink(url: string, onTrouble: (startedAt: number, reason: string) => void): RedisLink {
  const closing = new AbortController();
  let current: Connection | null = null;

  async function keepUp(): Promise<void> {
    let wait = FIRST_WAIT;
    while (!closing.signal.aborted) {
      const startedAt = performance.now();
      const connection = new Connection();
      const close = () => connection.fail(new Error('closed'));
      closing.signal.addEventListener('abort', close);
      try {
        await connection.open(url);
        current = connection;
        await connection.lost;
      } catch (error) {
        if (!closing.signal.aborted) onTrouble(startedAt, reasonOf(error));
      }
      current = null;
      closing.signal.removeEventListener('abort', close);
      connection.destroy();
      // It worked for a while: this is something new.
      if (performance.now() - startedAt > LONGEST_WAIT) wait = FIRST_WAIT;
      await delay(wait, undefined, { ref: false, signal: closing.signal }).catch(() => {});
      wait = Math.min(2 * wait, LONGEST_WAIT);
    }
  }

  const ended = keepUp();
  return {
    get ready() {
      return current !== null;
    },
    async ask(command, silence, deadline = Number.POSITIVE_INFINITY) {
      if (current === null) throw new Error('not connected');
      return current.ask(command, silence, deadline);
    },
    drop(reason) {
      current?.fail(new Error(reason));
    },
    async close() {
      closing.abort();
      await ended;
    },
  };
}

export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Where a name has several addresses, the error of all of them has a code only.
  return error.message !== '' ? error.message : String((error as { code?: string }).code ?? error.name);
}

type Client = Awaited<ReturnType<typeof createClient>>;

/** Loaded when it is needed: it takes 0.2 s and 27 MB. */
async function createClient(url: string) {
  const { createClient, RESP_TYPES } = await import('@redis/client');
  return createClient({
    url,
    RESP: 2,
    socket: { connectTimeout: CONNECT_TIMEOUT, reconnectStrategy: false },
    disableOfflineQueue: true,
    // Neither is of use here, and each would need another right.
    disableClientInfo: true,
    maintNotifications: 'disabled',
    // 0: none of the library's.
    commandOptions: { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
}

/** One connection from its beginning to its end. */
class Connection {
  readonly #end = Promise.withResolvers<never>();
  /** Why it is over; what is unanswered then fails for the same reason. */
  #failure: unknown = null;
  #client: Client | null = null;
  /** When the last reply came, by `performance.now()`. */
  #heardAt = 0;

  constructor() {
    // Whoever waits hears of it; nobody has to.
    this.#end.promise.catch(() => {});
  }

  /** Rejects when the connection is over. */
  get lost(): Promise<never> {
    return this.#end.promise;
  }

  async open(url: string): Promise<void> {
    const client = await createClient(url);
    this.#client = client;
    client.on('error', (error) => this.fail(error));
    // Nothing that Promgate waits for when it ends.
    client.unref();
    const timer = setTimeout(() => this.fail(new RedisTimeout('connecting took too long')), CONNECT_TIMEOUT);
    const connected = client.connect();
    try {
      await Promise.race([connected, this.lost]);
    } catch (error) {
      // A connection that is made after it was given up would stay.
      connected.then(
        () => client.destroy(),
        () => {},
      );
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  fail(error: unknown): void {
    this.#failure ??= error;
    this.#end.reject(error);
  }

  /** What is unanswered is rejected. */
  destroy(): void {
    this.#client?.destroy();
  }

  ask(command: readonly (string | Buffer)[], silence: number, deadline: number): Promise<unknown> {
    const client = this.#client;
    if (client === null) throw new Error('not connected');
    return new Promise((resolve, reject) => {
      let answered = false;
      let timer: NodeJS.Timeout | undefined;
      let silentFrom = performance.now();
      let wasLate = false;
      /** Gives the command up when it is time to; what is heard meanwhile puts that off, up to `latest`. */
      const watch = (longest: number, latest: number, giveUp: (error: Error) => void) => {
        const silentAt = () => Math.max(silentFrom, this.#heardAt) + longest;
        const dueAt = Math.min(silentAt(), latest);
        const look = () => {
          if (answered) return;
          const at = performance.now();
          if (!wasLate && at > dueAt + LATE) {
            wasLate = true;
            silentFrom = at;
          }
          if (at >= silentAt()) giveUp(new RedisTimeout(`no reply within ${longest} ms`));
          else if (at >= latest) giveUp(new LinkBusy('others were replied to until it was too late'));
          else watch(longest, latest, giveUp);
        };
        // When this process was busy for long, the reply may be there and only not be read yet: it is before an immediate.
        timer = setTimeout(() => setImmediate(look), Math.ceil(dueAt - performance.now()));
      };
      watch(silence, deadline, (error) => {
        reject(error);
        watch(SILENCE, Number.POSITIVE_INFINITY, (silent) => this.fail(silent));
      });
      const settle = () => {
        answered = true;
        this.#heardAt = performance.now();
        clearTimeout(timer);
      };
      client
        .sendCommand<unknown>([...command])
        .then(resolve, (error) => reject(this.#failure ?? error))
        .finally(settle);
    });
  }
}
