import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Asking, open, settled } from './support/crowd.ts';
import { holdAnswers } from './support/hold.ts';
import { type Served, startServed } from './support/served.ts';
import { answers, type StrictUpstream, startStrictUpstream, streams } from './support/strict-upstream.ts';

/** Of those who share an answer, some read slowly or not at all. Promgate is a process of its own, so that its memory is nobody else's. */
const MIB = 2 ** 20;
const size = 32 * MIB;

let upstream: StrictUpstream;
let served: Served;
let authorization: string;

beforeAll(async () => {
  upstream = await startStrictUpstream(answers());
  const servers = [{ name: 'main', url: upstream.url, kind: 'prometheus' }];
  served = await startServed({ projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }] });
  ({ authorization } = await served.token('acme/shop:production'));
});

afterAll(async () => {
  await served?.remove();
  await upstream?.stop();
});

const ask = (query: string, read = true): Promise<Asking> => {
  const target = `/acme/shop/-/environments/production/prometheus/api/v1/query?query=${query}`;
  return open(served.url, target, { headers: [`Authorization: ${authorization}`], read });
};

/** Bytes. */
async function residentMemory(): Promise<number> {
  const status = await readFile(`/proc/${served.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** The clients (true: one that reads) have all joined before the server says anything; from the first one is the question. */
async function together(query: string, readers: readonly boolean[]): Promise<Asking[]> {
  const hold = holdAnswers(streams(size, 'length'));
  const before = upstream.requests.length;
  upstream.play(hold.script);
  const clients: Asking[] = [];
  for (const read of readers) clients.push(await ask(query, read));
  await upstream.request(before);
  await settled(served.url);
  hold.open();
  return clients;
}

async function expectWhole(client: Asking): Promise<void> {
  const answer = await client.answer();
  expect([answer.status, answer.complete]).toEqual([200, true]);
  expect(answer.body.length).toBeGreaterThanOrEqual(size);
}

describe('who reads nothing', () => {
  it.each([
    ['the first', [false, true, true, true]],
    ['another one', [true, true, true, false]],
  ])('(%s) holds up nobody, and has the whole answer when it reads at last', async (_, readers) => {
    const before = upstream.requests.length;
    const clients = await together(`up_${before}`, readers);
    for (const [index, client] of clients.entries()) if (readers[index]) await expectWhole(client);
    const slow = clients[readers.indexOf(false)];
    expect(slow?.connection.received().length).toBe(0);
    slow?.connection.socket.resume();
    if (slow !== undefined) await expectWhole(slow);
    expect(upstream.requests.length).toBe(before + 1);
  });

  it('alone holds up the server, and nothing is held for it', async () => {
    const before = await residentMemory();
    const sent = upstream.bytesSent();
    const [slow] = await together('alone', [false]);
    let last = -1;
    const still = () => {
      const now = upstream.bytesSent() - sent;
      const same = now > 0 && now === last;
      last = now;
      return same;
    };
    await expect.poll(still, { interval: 300, timeout: 20_000 }).toBe(true);
    expect(last).toBeLessThan(size);
    expect((await residentMemory()) - before).toBeLessThan(40 * MIB);
    slow?.connection.socket.resume();
    if (slow !== undefined) await expectWhole(slow);
  });

  it('in great numbers: they are cut off when there is no room left to hold their answers, and memory stays bounded', async () => {
    const before = await residentMemory();
    const idle: Asking[] = [];
    let most = 0;
    for (let round = 0; round < 5; round++) {
      const [slow, ...reading] = await together(`many_${round}`, [false, true, true]);
      if (slow !== undefined) idle.push(slow);
      for (const client of reading) await expectWhole(client);
      most = Math.max(most, (await residentMemory()) - before);
    }
    // Most of it is what the collector lets lie for a while.
    expect(most).toBeLessThan(200 * MIB);
    let whole = 0;
    for (const client of idle) {
      client.connection.socket.resume();
      const answer = await client.answer();
      if (!answer.complete) continue;
      // Never a short answer for a whole one.
      expect(answer.body.length).toBeGreaterThanOrEqual(size);
      whole++;
    }
    expect(whole).toBeGreaterThan(0);
    expect(whole).toBeLessThan(idle.length);
  }, 60_000);
});
