import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ask } from './support/ask.ts';
import { connectRaw, parseAnswer, requestText } from './support/raw.ts';
import { type Served, startServed } from './support/served.ts';
import { answers, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

// Each test starts programs or hashes passwords, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 });

let upstream: StrictUpstream;
let served: Served;
let authorization: string;
const path = '/acme/shop/-/environments/production/prometheus';

beforeEach(async () => {
  upstream = await startStrictUpstream(answers());
  served = await startServed({
    projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers: [{ name: 'main', url: upstream.url }] }],
  });
  ({ authorization } = await served.token('acme/shop:production'));
});

afterEach(async () => {
  await served?.remove();
  await upstream?.stop();
});

/** A request on a connection that the client means to keep. */
const request = () =>
  requestText(served.url, `${path}/api/v1/query?query=up`, { headers: [`Authorization: ${authorization}`] }).replace(
    'Connection: close',
    'Connection: keep-alive',
  );

/** A server that sends half of its answer, and the rest when `finish` is called. */
function halfAnswer(): { finish: () => void } {
  const body = '{"status":"success","data":{"resultType":"vector","result":[]}}';
  let finish = () => {};
  upstream.play((socket) => {
    socket.write(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n${body.slice(0, 20)}\r\n`,
    );
    finish = () => void socket.write(`${(body.length - 20).toString(16)}\r\n${body.slice(20)}\r\n0\r\n\r\n`);
  });
  return { finish: () => finish() };
}

async function refuses(url: string): Promise<boolean> {
  try {
    await ask(`${url}/`);
    return false;
  } catch {
    return true;
  }
}

describe('at SIGTERM', () => {
  it('running answers finish, new connections are refused, the exit code is 0', async () => {
    const half = halfAnswer();
    const [unused, busy] = await Promise.all([connectRaw(served.url), connectRaw(served.url)]);
    busy.send(request());
    await expect.poll(() => busy.received().toString()).toContain('"status":"success"');
    served.signal('SIGTERM');
    await expect.poll(() => refuses(served.url)).toBe(true);
    expect(parseAnswer(busy.received()).complete).toBe(false);
    half.finish();
    await expect.poll(() => parseAnswer(busy.received()).complete).toBe(true);
    expect(await busy.ended).toBe('closed');
    expect(await unused.ended).toBe('closed');
    expect(await served.exited).toBe(0);
    expect(served.logs()).toContain('"msg":"stopped"');
  });

  it('an operator sees that it is not ready, and still can look', async () => {
    const half = halfAnswer();
    const busy = await connectRaw(served.url);
    busy.send(request());
    await expect.poll(() => busy.received().toString()).toContain('"status":"success"');
    served.signal('SIGTERM');
    await expect.poll(async () => (await ask(`${served.opsUrl}/-/ready`)).status).toBe(503);
    expect((await ask(`${served.opsUrl}/metrics`)).body).toContain('promgate_ready 0');
    half.finish();
    expect(await served.exited).toBe(0);
  });

  it('a second one ends it at once, visibly for who still waits', async () => {
    halfAnswer();
    const busy = await connectRaw(served.url);
    busy.send(request());
    await expect.poll(() => busy.received().toString()).toContain('"status":"success"');
    served.signal('SIGTERM');
    await expect.poll(() => served.logs()).toContain('"msg":"stopping"');
    served.signal('SIGTERM');
    expect(await served.exited).toBe(1);
    await busy.ended;
    expect(parseAnswer(busy.received()).complete).toBe(false);
  });

  it('an idle connection of a client and one of a server do not hold it up', async () => {
    const connection = await connectRaw(served.url);
    connection.send(request());
    await expect.poll(() => parseAnswer(connection.received()).complete).toBe(true);
    expect(upstream.connections()).toBe(1);
    served.signal('SIGINT');
    expect(await connection.ended).toBe('closed');
    expect(await served.exited).toBe(0);
    await expect.poll(() => upstream.connections()).toBe(0);
  });
});

describe('at SIGHUP', () => {
  const origin = 'https://charts.example';
  const allowed = async () => {
    const response = await fetch(`${served.url}${path}/-/healthy`, { headers: { origin } });
    await response.text();
    return response.headers.get('access-control-allow-origin');
  };

  it('a good file is taken over while answers run, a bad one changes nothing', async () => {
    const half = halfAnswer();
    const busy = await connectRaw(served.url);
    busy.send(request());
    await expect.poll(() => busy.received().toString()).toContain('"status":"success"');
    expect(await allowed()).toBeNull();

    await served.configure(`cors: { origins: ["${origin}"] }\nlimits: { max_query_bytes: 1KiB }`);
    served.signal('SIGHUP');
    await expect.poll(allowed).toBe(origin);
    const long = `${served.url}${path}/api/v1/query?query=${'x'.repeat(2_000)}`;
    expect((await ask(long, { headers: { authorization } })).status).toBe(422);

    await served.configure('cors: { origins: [] }\nlimits: { max_query_bytes: soon }\nlisten_on: x');
    const before = served.logs().length;
    served.signal('SIGHUP');
    await expect
      .poll(() => served.logs().slice(before))
      .toMatch(/max_query_bytes[\s\S]*listen_on|listen_on[\s\S]*max_query_bytes/);
    await delay(100);
    expect(await allowed()).toBe(origin);
    expect((await ask(long, { headers: { authorization } })).status).toBe(422);

    half.finish();
    await expect.poll(() => parseAnswer(busy.received()).complete).toBe(true);
    served.signal('SIGTERM');
    expect(await served.exited).toBe(0);
  });
});
