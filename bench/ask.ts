/** Questions that are asked once each, all answers read to their ends: as a browser does for a dashboard. */
import { Pool } from 'undici';
import type { Contender } from './contenders.ts';

export interface Asked {
  /** Milliseconds from the first question to the last byte of the last answer. */
  readonly elapsed: number;
  /** In the order of the questions. */
  readonly bodies: readonly string[];
  /** The values of `X-Promgate-Cache`, in the same order; `null` where there is none. */
  readonly cache: readonly (string | null)[];
}

/** Keeps its connections open from one call to the next. */
export interface Client {
  /** `paths` are below the contender's URL. Throws for an answer other than 200. */
  readonly askAll: (paths: readonly string[]) => Promise<Asked>;
  readonly close: () => Promise<void>;
}

export function openClient({ name, origin, prefix, headers }: Contender, connections: number): Client {
  const pool = new Pool(origin, { connections, pipelining: 1, headersTimeout: 60_000, bodyTimeout: 60_000 });
  async function ask(path: string): Promise<{ chunks: Buffer[]; cache: string | null }> {
    const answer = await pool.request({ path: prefix + path, method: 'GET', headers });
    const chunks: Buffer[] = [];
    for await (const chunk of answer.body) chunks.push(chunk as Buffer);
    if (answer.statusCode !== 200) {
      throw new Error(`${name} answered ${answer.statusCode} to ${path}: ${Buffer.concat(chunks).toString().slice(0, 500)}`);
    }
    const cache = answer.headers['x-promgate-cache'];
    return { chunks, cache: typeof cache === 'string' ? cache : null };
  }
  return {
    async askAll(paths) {
      const started = performance.now();
      const answers = await Promise.all(paths.map(ask));
      const elapsed = performance.now() - started;
      return {
        elapsed,
        bodies: answers.map(({ chunks }) => Buffer.concat(chunks).toString()),
        cache: answers.map(({ cache }) => cache),
      };
    },
    close: () => pool.close(),
  };
}

/** `3 × hit, 1 × miss`. */
export function tally(words: readonly (string | null)[]): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word ?? 'none', (counts.get(word ?? 'none') ?? 0) + 1);
  return Array.from(counts, ([word, count]) => `${count} × ${word}`).join(', ');
}

/** Asks the same twice, one after the other; returns what the second answer says of the cache. */
export async function askTwice(contender: Contender, path: string): Promise<string> {
  const client = openClient(contender, 1);
  await client.askAll([path]);
  const { cache } = await client.askAll([path]);
  await client.close();
  return cache[0] ?? 'nothing';
}
