import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectRaw, type RawResult, sendRaw } from './support/raw.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';
import * as play from './support/strict-upstream.ts';

/** What a server can do wrong. Each time the next question must be answered as if nothing had been. */
let rig: StrictRig;
const good = '{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}';

beforeAll(async () => {
  rig = await startStrictRig({ settings: { limits: { timeout: 3_000, maxResponse: 2 ** 20 } } });
});

afterAll(() => rig?.close());

beforeEach(() => rig.upstream.play(play.answers(good)));

const query = '/api/v1/query?query=up';
const send = (options: { headers?: string[] } = {}, path = query) => sendRaw(rig.promgate.url, rig.text(path, options));

const json = 'Content-Type: application/json';

async function expectServing(): Promise<void> {
  rig.upstream.play(play.answers(good));
  const answer = await send();
  expect([answer.status, answer.body.toString()]).toEqual([200, good]);
}

/** 503 in the envelope that names the server but not where it is. */
function expectUnavailable(answer: RawResult, text: string, errorType = 'unavailable'): void {
  expect(answer.complete).toBe(true);
  expect(answer.status).toBe(503);
  expect(answer.headers.get('content-type')).toEqual(['application/json']);
  const body = JSON.parse(answer.body.toString());
  expect(body).toMatchObject({ status: 'error', errorType, error: expect.stringContaining('"main"') });
  expect(body.error).toContain(text);
  expect(answer.raw.toString()).not.toContain(`:${new URL(rig.upstream.url).port}`);
}

/** The connection ended before the body did, or even before the head was sent. */
function expectBroken(answer: RawResult): void {
  expect([0, 200]).toContain(answer.status);
  expect(answer.complete).toBe(false);
  expect(['closed', 'reset']).toContain(answer.ended);
}

describe('a server that does not answer', () => {
  it.each([
    ['says nothing', play.stalls],
    ['sends its head a byte at a time', play.sendsSlowHeaders(50)],
  ])('%s: 503 timeout, and its connection is closed', async (_, script) => {
    rig.upstream.play(script);
    const before = rig.upstream.requests.length;
    const answer = await send();
    expectUnavailable(answer, 'within 3s', 'timeout');
    await (await rig.upstream.request(before)).gone;
    expect(rig.upstream.requests.length).toBe(before + 1);
    await expectServing();
  });

  it('holds up nobody else', async () => {
    rig.upstream.play((socket, request) => {
      if (!request.target.includes('query=slow')) void play.answers(good)(socket, request);
    });
    const slow = Array.from({ length: 100 }, () => send({}, '/api/v1/query?query=slow'));
    for (let i = 0; i < 20; i++) expect((await send()).status).toBe(200);
    for (const answer of await Promise.all(slow)) expectUnavailable(answer, 'within 3s', 'timeout');
  });

  it('is there no more: connection refused', async () => {
    const gone = await play.startStrictUpstream(play.answers());
    await gone.stop();
    const other = await startStrictRig({ server: { url: gone.url } });
    const answer = await sendRaw(other.promgate.url, other.text(query));
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.body.toString())).toEqual({
      status: 'error',
      errorType: 'unavailable',
      error: 'server "main" cannot be reached: connection refused',
    });
    await other.close();
  });
});

describe('a server that drops the connection before its answer', () => {
  const drops = { 'with a reset': play.resetsBeforeHeaders, 'in order': play.closesBeforeHeaders };
  it.each(Object.entries(drops))('once, %s: is asked once more', async (_, drop) => {
    const before = rig.upstream.requests.length;
    rig.upstream.play((socket, request) => {
      rig.upstream.play(play.answers(good));
      return drop(socket, request);
    });
    expect((await send()).status).toBe(200);
    expect(rig.upstream.requests.length).toBe(before + 2);
  });
  it.each(Object.entries(drops))('each time, %s: 503', async (_, drop) => {
    const before = rig.upstream.requests.length;
    rig.upstream.play(drop);
    expectUnavailable(await send(), 'closed the connection');
    expect(rig.upstream.requests.length).toBe(before + 2);
    await expectServing();
  });
});

describe('a server that breaks off in its answer: the client’s answer breaks off too', () => {
  const long = 'x'.repeat(100_000);
  it.each([
    ['a reset in a chunk', play.resetsMidChunk],
    ['an end without the last chunk', play.closesWithoutLastChunk],
    ['an end before the announced length', play.sendsShortBody],
    ['silence in the body', play.stallsMidBody],
    [
      'a chunk that is none',
      (socket) => void socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"sta\r\nzz\r\n`),
    ],
    [
      'a reset after much',
      async (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: 1000000\r\n\r\n${long}`);
        await play.beingRead();
        socket.resetAndDestroy();
      },
    ],
    [
      'a compressed answer that ends early',
      (socket) => {
        const body = gzipSync(long).subarray(0, 50);
        socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n`);
        socket.end(`${body.length.toString(16)}\r\n`);
      },
    ],
  ] satisfies [string, play.Script][])('%s', async (_, script) => {
    rig.upstream.play(script);
    const before = rig.upstream.requests.length;
    expectBroken(await send({ headers: ['Accept-Encoding: gzip'] }));
    expect(rig.upstream.requests.length).toBe(before + 1);
    await expectServing();
  });

  it('even for HTTP/1.0, which has no other end than the connection’s: a reset', async () => {
    rig.upstream.play(play.closesWithoutLastChunk);
    const answer = await sendRaw(rig.promgate.url, rig.text(query).replace(' HTTP/1.1', ' HTTP/1.0'));
    expect(answer).toMatchObject({ ended: 'reset', complete: false });
    await expectServing();
  });
});

describe('a server that answers, but not as Prometheus does', () => {
  const raw =
    (text: string): play.Script =>
    (socket) =>
      void socket.write(text);
  const head = `HTTP/1.1 200 OK\r\n${json}\r\n`;
  it.each([
    ['garbage', play.sendsGarbage, 'valid HTTP'],
    ['HTML', play.sendsHtml, 'not JSON'],
    ['HTML as an error', play.answers('<html>', '502 Bad Gateway', ['Content-Type: text/html']), '502'],
    ['no content type', play.answers(good, '200 OK', []), 'not JSON'],
    ['Brotli', play.sendsBrotli, 'encoding'],
    ['gzip that nobody asked for', play.answers('x', '200 OK', [json, 'Content-Encoding: gzip']), 'encoding'],
    ['an answer of unknown length', raw(`${head}\r\n${good}`), 'unknown length'],
    ['a redirect', play.redirectsTo('http://127.0.0.1:1/secret'), 'redirect (302)'],
    ['a permanent redirect', play.redirectsTo('/elsewhere', '308 Permanent Redirect'), 'redirect (308)'],
    ['401', play.answers('{}', '401 Unauthorized', [json, 'WWW-Authenticate: Basic']), 'credentials (401)'],
    ['403', play.answers('{}', '403 Forbidden'), 'credentials (403)'],
    ['407', play.answers('{}', '407 Proxy Authentication Required'), 'credentials (407)'],
    ['two lengths', raw(`${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`), ''],
    ['headers without end', raw(`HTTP/1.1 200 OK\r\nX-A: ${'x'.repeat(100_000)}`), 'headers are too large'],
    ['another protocol', raw('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n'), ''],
    ['a status that is none', raw(`HTTP/1.1 042 Odd\r\n${json}\r\nContent-Length: 2\r\n\r\n{}`), ''],
    ['the SSH protocol', raw('SSH-2.0-OpenSSH_9.2p1\r\n'), 'valid HTTP'],
  ])('%s: 503', async (_, script, text) => {
    rig.upstream.play(script);
    const answer = await send();
    expectUnavailable(answer, text);
    expect(answer.headers.has('location')).toBe(false);
    expect(answer.headers.has('www-authenticate')).toBe(false);
    await expectServing();
  });

  it('204 has no body, and a kept connection goes on', async () => {
    rig.upstream.play(raw('HTTP/1.1 204 No Content\r\n\r\n'));
    expect(await send()).toMatchObject({ status: 204, complete: true, body: { length: 0 } });
    await expectServing();
  });

  it('early hints come before the answer, not in its place', async () => {
    rig.upstream.play(raw(`HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${play.answerText('200 OK', [json], good)}`));
    const answer = await send();
    expect([answer.status, answer.body.toString()]).toEqual([200, good]);
    expect(answer.raw.toString()).not.toContain('103');
  });

  it('of its headers only type, length and encoding reach the client', async () => {
    const own = [
      'Server: prometheus/9',
      'Set-Cookie: a=b',
      'X-Powered-By: x',
      'Connection: close, X-Hop',
      'X-Hop: y',
      'Link: <x>',
    ];
    rig.upstream.play(play.answers(good, '200 OK', [...own, 'content-type: application/json;charset=utf-8']));
    const answer = await send();
    expect([...answer.headers.keys()].toSorted()).toEqual([
      'cache-control',
      'connection',
      'content-length',
      'content-type',
      'date',
      'server-timing',
      'x-content-type-options',
      'x-promgate-cache',
      'x-request-id',
    ]);
    expect(answer.headers.get('content-type')).toEqual(['application/json;charset=utf-8']);
  });

  it('gzip that was asked for is passed on as it is', async () => {
    const body = gzipSync(good);
    rig.upstream.play((socket, request) => {
      expect(request.header('accept-encoding')).toBe('gzip');
      socket.write(`${head}Content-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.write(body);
    });
    const answer = await send({ headers: ['Accept-Encoding: gzip, br'] });
    expect(answer.body).toEqual(body);
    expect(gunzipSync(answer.body).toString()).toBe(good);
  });

  it('a second answer that nobody asked for is given to nobody', async () => {
    const planted = play.answerText('200 OK', [json], '{"status":"success","data":"planted"}');
    rig.upstream.play(raw(play.answerText('200 OK', [json], good) + planted));
    expect((await send()).body.toString()).toBe(good);
    await expectServing();
  });
});

describe('a client that leaves', () => {
  // With a limit of time that would end nothing before the test's own does.
  let patient: StrictRig;
  beforeAll(async () => {
    patient = await startStrictRig();
  });
  afterAll(() => patient?.close());

  it.each([
    ['before the answer', play.stalls],
    ['in the answer', play.streams(2 ** 19)],
  ])('%s: the server’s connection is closed too, and at once', async (_, script) => {
    const { upstream, promgate } = patient;
    upstream.play(script);
    const before = upstream.requests.length;
    const connection = await connectRaw(promgate.url);
    connection.socket.pause();
    connection.send(patient.text(query));
    const asked = await upstream.request(before);
    connection.reset();
    await asked.gone;
    upstream.play(play.answers(good));
    const answer = await sendRaw(promgate.url, patient.text(query));
    expect([answer.status, answer.body.toString()]).toEqual([200, good]);
  });
});
