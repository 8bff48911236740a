import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Asking, open } from './support/crowd.ts';
import { type Served, startServed } from './support/served.ts';
import { answers, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

/** Answers from the cache that nobody reads. Promgate is a process of its own, so that its memory is nobody else's. */
const start = 1_748_764_800;
const points = 5_000;
const row = JSON.stringify(Array.from({ length: points }, (_, index) => [start + 15 * index, '123456.789012345678']));
const series = Array.from({ length: 36 }, (_, index) => `{"metric":{"n":"${index + 10}"},"values":${row}}`);
const body = `{"status":"success","data":{"resultType":"matrix","result":[${series.join(',')}]}}`;

let upstream: StrictUpstream;
let served: Served;
let authorization: string;

beforeAll(async () => {
  upstream = await startStrictUpstream(answers(body));
  const servers = [{ name: 'main', url: upstream.url, kind: 'prometheus' }];
  const resources = { projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }] };
  served = await startServed(resources, 'cache: { memory: 128MiB }');
  ({ authorization } = await served.token('acme/shop:production'));
});

afterAll(async () => {
  await served?.remove();
  await upstream?.stop();
});

function ask(query: string, read = true): Promise<Asking> {
  const times = `start=${start}&end=${start + 15 * (points - 1)}&step=15`;
  const target = `/acme/shop/-/environments/production/prometheus/api/v1/query_range?query=${query}&${times}`;
  return open(served.url, target, { headers: [`Authorization: ${authorization}`, 'Connection: close'], read });
}

/** Resolves with `X-Promgate-Cache` as soon as the head is there. */
async function resultOf(asking: Asking): Promise<string | undefined> {
  const head = () => /\r\nX-Promgate-Cache: (\w+)\r\n/i.exec(asking.connection.received().toString('latin1'))?.[1];
  await expect.poll(head, { timeout: 20_000 }).toBeDefined();
  return head();
}

describe('clients that read no more than the beginning of answers from the cache', { timeout: 120_000 }, () => {
  it('hold what half of its memory may be; further answers then come from the server, and from the cache when they leave', async () => {
    const queries = Array.from({ length: 12 }, (_, index) => `up_${index}`);
    for (const query of queries) expect((await (await ask(query)).answer()).body.length).toBe(body.length);
    const idle: Asking[] = [];
    const results: (string | undefined)[] = [];
    for (const query of queries) {
      const asking = await ask(query);
      asking.connection.socket.once('data', () => asking.connection.socket.pause());
      results.push(await resultOf(asking));
      idle.push(asking);
    }
    expect(results.slice(0, 6)).toEqual(Array(6).fill('hit'));
    expect(results.at(-1)).toBe('bypass');
    const whole = await (await ask('up_11')).answer();
    expect([whole.status, whole.body.length]).toEqual([200, body.length]);
    // What many read at once is held once.
    expect(await resultOf(await ask('up_0'))).toBe('hit');
    for (const { connection } of idle) connection.socket.destroy();
    await expect.poll(async () => resultOf(await ask('up_11')), { timeout: 20_000 }).toBe('hit');
  });
});
