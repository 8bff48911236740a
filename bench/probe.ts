/** What others wait: questions at a steady pace, whether or not those before are answered, and how long each answer takes. */
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import type { Contender } from './contenders.ts';
import { quantile } from './figures.ts';

/** Small questions of one kind. */
export interface Stream {
  readonly contender: Contender;
  /** A question's path below the contender's URL, by its number. */
  readonly path: (n: number) => string;
}

export interface Waits {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Of each stream; far below what any of the proxies can do, so that nobody waits for another question. */
const PER_SECOND = 250;
const CONNECTIONS = 16;

/** Asks in all streams at once; returns what each found. Throws for an answer other than 200. */
export async function probe(streams: readonly Stream[], seconds: number): Promise<readonly Waits[]> {
  const asked = streams.map((stream) => openStream(stream));
  // Connections are opened before anything counts.
  await Promise.all(asked.flatMap(({ ask }) => Array.from({ length: CONNECTIONS }, (_, n) => ask(n))));
  for (const { waits } of asked) waits.length = 0;
  const asking: Promise<void>[] = [];
  const started = performance.now();
  for (let n = 0; n < seconds * PER_SECOND; n++) {
    const early = started + (n / PER_SECOND) * 1000 - performance.now();
    if (early > 0) await delay(early);
    for (const { ask } of asked) asking.push(ask(n));
  }
  await Promise.all(asking);
  await Promise.all(asked.map(({ close }) => close()));
  return asked.map(({ waits }) => ({ p50: quantile(waits, 0.5), p99: quantile(waits, 0.99) }));
}

function openStream({ contender: { name, origin, prefix, headers }, path }: Stream) {
  const pool = new Pool(origin, { connections: CONNECTIONS, pipelining: 1 });
  const waits: number[] = [];
  return {
    waits,
    close: () => pool.close(),
    async ask(n: number): Promise<void> {
      const started = performance.now();
      const answer = await pool.request({ path: prefix + path(n), method: 'GET', headers });
      await answer.body.arrayBuffer();
      if (answer.statusCode !== 200) throw new Error(`${name} answered ${answer.statusCode} to ${path(n)}`);
      waits.push(performance.now() - started);
    },
  };
}
