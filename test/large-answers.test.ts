import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, requestText, sendRaw } from './support/raw.ts';
import { type Served, startServed } from './support/served.ts';
import { answers, type StrictUpstream, startStrictUpstream, streams } from './support/strict-upstream.ts';

/** Promgate runs as a process of its own here, so that its memory is nobody else's. */
const size = 100 * 2 ** 20;
/** So much that what the collector lets lie for a while is small beside it. */
const huge = 4 * size;

let upstream: StrictUpstream;
let served: Served;
let tokens: { wide: string; narrow: string };

beforeAll(async () => {
  upstream = await startStrictUpstream(answers());
  const server = (name: string, limit: string) => ({
    name,
    url: upstream.url,
    environment_scope: name,
    limits: { max_response: limit },
  });
  served = await startServed({
    projects: [
      {
        path: 'acme/shop',
        environments: [{ name: 'wide' }, { name: 'narrow' }],
        servers: [server('wide', '500MiB'), server('narrow', '1MiB')],
      },
    ],
  });
  const [wide, narrow] = await Promise.all([served.token('acme/shop:wide'), served.token('acme/shop:narrow')]);
  tokens = { wide: wide.authorization, narrow: narrow.authorization };
  await expectServing();
});

afterAll(async () => {
  await served?.remove();
  await upstream?.stop();
});

function request(environment: 'wide' | 'narrow', query = 'up'): string {
  const target = `/acme/shop/-/environments/${environment}/prometheus/api/v1/query?query=${query}`;
  return requestText(served.url, target, { headers: [`Authorization: ${tokens[environment]}`] });
}

/** Bytes. */
async function residentMemory(): Promise<number> {
  const status = await readFile(`/proc/${served.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

async function expectServing(): Promise<void> {
  upstream.play(answers());
  expect((await sendRaw(served.url, request('wide'))).status).toBe(200);
}

describe('an answer of 100 MB over max_response', () => {
  it('is 413 where the server announces its length, and is not read', async () => {
    upstream.play(streams(size, 'length'));
    const before = upstream.requests.length;
    const answer = await sendRaw(served.url, request('narrow'));
    expect(answer).toMatchObject({ status: 413, complete: true });
    expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 'error', errorType: 'too_large_entry' });
    await (await upstream.request(before)).gone;
    await expectServing();
  });

  it('breaks off at the limit where it comes in chunks', async () => {
    upstream.play(streams(size));
    const before = upstream.requests.length;
    const answer = await sendRaw(served.url, request('narrow'));
    expect(answer).toMatchObject({ status: 200, complete: false });
    expect(answer.body.length).toBeLessThanOrEqual(2 ** 20);
    await (await upstream.request(before)).gone;
    await expectServing();
  });
});

describe('an answer of 400 MB within max_response', () => {
  it.each(['chunked', 'length'] as const)('arrives whole (%s), in bounded memory', { timeout: 120_000 }, async (framing) => {
    upstream.play(streams(huge, framing));
    const before = await residentMemory();
    let most = before;
    let received = 0;
    const connection = await connectRaw(served.url);
    connection.socket.removeAllListeners('data');
    let tail = '';
    const whole = new Promise<void>((resolve) => {
      connection.socket.on('data', (chunk) => {
        received += chunk.length;
        tail = (tail + chunk.toString('latin1').slice(-100)).slice(-100);
        if (tail.includes('"]}}')) resolve();
      });
    });
    const watching = setInterval(async () => {
      most = Math.max(most, await residentMemory());
    }, 20);
    connection.send(request('wide'));
    await whole;
    clearInterval(watching);
    connection.socket.destroy();
    expect(received).toBeGreaterThanOrEqual(huge);
    expect(most - before).toBeLessThan(160 * 2 ** 20);
  });

  it('waits at the server while the client does not read, and others are served meanwhile', { timeout: 120_000 }, async () => {
    upstream.play(streams(size));
    const memory = await residentMemory();
    const sent = upstream.bytesSent();
    const before = upstream.requests.length;
    const slow = await Promise.all(Array.from({ length: 5 }, () => connectRaw(served.url)));
    // Each asks something else: those who ask the same have one answer together.
    for (const [index, connection] of slow.entries()) {
      connection.socket.pause();
      connection.send(request('wide', `up${index}`));
    }
    // All are being answered, and then nothing moves any more.
    await upstream.request(before + slow.length - 1);
    let last = -1;
    await expect
      .poll(
        () => {
          const now = upstream.bytesSent() - sent;
          const still = now > 0 && now === last;
          last = now;
          return still;
        },
        { interval: 300, timeout: 60_000 },
      )
      .toBe(true);
    // Each has what the kernel's socket buffers and ours hold, of 100 MB.
    expect(last / slow.length).toBeLessThan(30 * 2 ** 20);
    expect((await residentMemory()) - memory).toBeLessThan(60 * 2 ** 20);
    await expectServing();
    // A client that reads again gets the rest.
    const [first] = slow;
    first?.socket.removeAllListeners('data');
    let received = 0;
    first?.socket.on('data', (chunk) => {
      received += chunk.length;
    });
    first?.socket.resume();
    await expect.poll(() => received, { timeout: 60_000 }).toBeGreaterThan(size);
    for (const { socket } of slow) socket.destroy();
    await expect.poll(() => upstream.connections(), { timeout: 20_000 }).toBeLessThanOrEqual(2);
  });
});
