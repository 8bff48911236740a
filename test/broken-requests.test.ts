import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settled } from './support/crowd.ts';
import { connectRaw, parseAnswer, type RawResult, sendRaw } from './support/raw.ts';
import { form } from './support/raw-client.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';

let rig: StrictRig;

beforeAll(async () => {
  rig = await startStrictRig();
});

afterAll(() => rig?.close());

const send = (bytes: string | Buffer | readonly (string | Buffer)[], options?: Parameters<typeof sendRaw>[2]) =>
  sendRaw(rig.promgate.url, bytes, options);

function head(path: string, headers: readonly string[], method = 'POST'): string {
  const target = new URL(rig.promgate.endpoint('acme/shop:production')).pathname + path;
  const all = [`${method} ${target} HTTP/1.1`, 'Host: x', `Authorization: ${rig.token.basic}`, ...headers];
  return `${all.join('\r\n')}\r\n\r\n`;
}

const urlencoded = 'Content-Type: application/x-www-form-urlencoded';

function errorOf(answer: RawResult): { status: string; errorType: string; error: string } {
  expect(answer.complete).toBe(true);
  expect(answer.headers.get('content-type')).toEqual(['application/json']);
  return JSON.parse(answer.body.toString());
}

/** Whatever was done to it, the next one is served. */
async function expectServing(): Promise<void> {
  await rig.reaching(() => rig.send('/api/v1/query?query=up'));
}

describe('a request that programs on the way could read in two ways never reaches the server', () => {
  const smuggled = 'GET /api/v1/admin HTTP/1.1\r\nHost: x\r\n\r\n';

  it.each([
    ['two lengths', ['Content-Length: 8', `Content-Length: ${8 + smuggled.length}`]],
    ['two equal lengths', ['Content-Length: 8', 'Content-Length: 8']],
    ['a list of lengths', ['Content-Length: 8, 8']],
    ['a length and chunks', ['Content-Length: 8', 'Transfer-Encoding: chunked']],
    ['chunks and a length', ['Transfer-Encoding: chunked', 'Content-Length: 8']],
    ['an encoding before the chunks’ end', ['Transfer-Encoding: chunked, identity']],
    ['an unknown encoding', ['Transfer-Encoding: xchunked']],
    ['a blank before the colon', ['Content-Length : 8']],
    ['a folded header', ['X-A: b', ' Content-Length: 8']],
    ['a negative length', ['Content-Length: -8']],
    ['a length with a sign', ['Content-Length: +8']],
    ['a hexadecimal length', ['Content-Length: 0x8']],
    ['a bare line feed', ['X-A: b\nContent-Length: 8']],
    ['a bare carriage return', ['X-A: b\rContent-Length: 8']],
    ['a NUL', ['X-A: b\0']],
  ])('%s', async (_, headers) => {
    const before = rig.upstream.requests.length;
    const answer = await send(`${head('/api/v1/query', [urlencoded, ...headers])}query=up${smuggled}`);
    expect(answer).toMatchObject({ status: 400, ended: 'closed' });
    expect(errorOf(answer)).toMatchObject({ status: 'error', errorType: 'bad_data' });
    expect(rig.upstream.requests.length).toBe(before);
    await expectServing();
  });

  it('what stands behind a chunked body is a request of its own, with its own credentials', async () => {
    const path = new URL(rig.promgate.endpoint('acme/shop:production')).pathname;
    const chunked = `${head('/api/v1/query', [urlencoded, 'Transfer-Encoding: chunked'])}8\r\nquery=up\r\n0\r\n\r\n`;
    const second = `GET ${path}/api/v1/query?query=down HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    const before = rig.upstream.requests.length;
    const connection = await connectRaw(rig.promgate.url);
    connection.send(chunked + second);
    await connection.ended;
    connection.socket.destroy();
    expect(rig.upstream.requests.length).toBe(before + 1);
    const answers = connection.received();
    expect(parseAnswer(answers).status).toBe(200);
    expect(parseAnswer(answers.subarray(answers.lastIndexOf('HTTP/1.1 '))).status).toBe(401);
  });
});

describe('what is no request at all', () => {
  it.each([
    ['noise', '\x00\x01\x02\x03\r\n\r\n'],
    ['a TLS handshake', Buffer.from('16030100a5010000a10303', 'hex')],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2p1\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an unknown method', 'FROB / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['an unknown version', 'GET / HTTP/9.9\r\nHost: x\r\n\r\n'],
    ['a target with a blank', 'GET /a b HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a header without a name', 'GET / HTTP/1.1\r\n: x\r\n\r\n'],
  ])('%s is answered with 400 and the end of the connection', async (_, bytes) => {
    const answer = await send(bytes);
    expect(answer).toMatchObject({ status: 400, ended: 'closed' });
    expect(errorOf(answer)).toMatchObject({ status: 'error', errorType: 'bad_data' });
    await expectServing();
  });

  const nowhere = ['/%', '/%zz/%', '/a%00b', '/%ff', '*', '//', '/acme/shop/-/environments/%zz/prometheus/api/v1/query'];
  it.each(nowhere)('the target %s is 404, in the envelope, whatever the body', async (target) => {
    const first = ['Host: x', `Authorization: ${rig.token.basic}`, 'Connection: close'].join('\r\n');
    const body = 'Content-Type: application/json\r\nContent-Length: 1\r\n\r\n{';
    for (const request of [`OPTIONS ${target} HTTP/1.1\r\n${first}\r\n\r\n`, `POST ${target} HTTP/1.1\r\n${first}\r\n${body}`]) {
      const answer = await send(request);
      expect(answer.status).toBe(404);
      expect(errorOf(answer)).toMatchObject({ status: 'error', errorType: 'not_found' });
    }
  });

  it('CONNECT makes no tunnel', async () => {
    const answer = await send(`CONNECT ${new URL(rig.upstream.url).host} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(answer.status).not.toBe(200);
    expect(answer.ended).not.toBe('deadline');
  });

  it('an upgrade is not made: the request counts as it stands', async () => {
    const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
    expect((await send(head('/api/v1/query?query=up', upgrade, 'GET'))).status).toBe(200);
  });
});

describe('sizes', () => {
  it('headers over 64 KiB are 431, just below they pass', async () => {
    const large = await send(head(`/api/v1/query?query=${'x'.repeat(66_000)}`, [], 'GET'));
    expect(large).toMatchObject({ status: 431, ended: 'closed' });
    expect(errorOf(large)).toMatchObject({ status: 'error', errorType: 'bad_data', error: expect.stringContaining('65536') });
    const many = await send(head('/api/v1/query?query=up', [`X-A: ${'x'.repeat(66_000)}`], 'GET'));
    expect(many.status).toBe(431);
    const fits = await rig.send('/api/v1/query?query=up', { headers: [`X-A: ${'x'.repeat(64_000)}`] });
    expect(fits.status).toBe(200);
  });

  const size = 10 * 2 ** 20;
  const padding = (length: number) => form({ query: 'up', x: '' }) + 'x'.repeat(length - 'query=up&x='.length);

  it('a body of 10 MiB passes', async () => {
    const body = padding(size);
    const answer = await send(head('/api/v1/query', [urlencoded, `Content-Length: ${body.length}`]) + body);
    expect(answer.status).toBe(200);
  });

  it.each(['with its length', 'in chunks', 'as multipart'])(
    'a body over 10 MiB %s is 413, though the client sends on',
    async (kind) => {
      const before = rig.upstream.requests.length;
      const body = padding(size + 1);
      const chunk = body.slice(0, 2 ** 20);
      const chunks = Array.from({ length: 12 }, () => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
      const part = `--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n${body}\r\n--x--\r\n`;
      const request =
        kind === 'with its length'
          ? [head('/api/v1/query', [urlencoded, `Content-Length: ${body.length}`]), body]
          : kind === 'in chunks'
            ? [head('/api/v1/query', [urlencoded, 'Transfer-Encoding: chunked']), ...chunks, '0\r\n\r\n']
            : [
                head('/api/v1/query', ['Content-Type: multipart/form-data; boundary=x', 'Transfer-Encoding: chunked']),
                `${part.length.toString(16)}\r\n${part}\r\n0\r\n\r\n`,
              ];
      const answer = await send(request);
      expect(answer.status).toBe(413);
      expect(errorOf(answer)).toMatchObject({ errorType: 'too_large_entry', error: expect.stringContaining(String(size)) });
      expect(rig.upstream.requests.length).toBe(before);
      await expectServing();
    },
  );

  it('credentials are looked at before a large body is read', async () => {
    const target = new URL(rig.promgate.endpoint('acme/shop:production')).pathname;
    const request = `POST ${target}/api/v1/query HTTP/1.1\r\nHost: x\r\n${urlencoded}\r\nContent-Length: ${2 ** 40}\r\n\r\n`;
    const answer = await send([request, 'x'.repeat(2 ** 20)]);
    expect(answer.status).toBe(401);
    expect(errorOf(answer)).toMatchObject({ errorType: 'unauthorized' });
  });
});

describe('a client that does not finish', () => {
  it('its request never reaches the server, and nothing is left of it', async () => {
    const before = rig.upstream.requests.length;
    for (const headers of [
      [urlencoded, 'Content-Length: 100'],
      [urlencoded, 'Transfer-Encoding: chunked'],
      ['Content-Type: multipart/form-data; boundary=x', 'Content-Length: 100'],
    ]) {
      const body = headers.some((line) => line.includes('chunked')) ? '8\r\nquery=up\r\n' : 'query=up';
      for (const leave of ['reset', 'end'] as const) {
        const connection = await connectRaw(rig.promgate.url);
        connection.send(head('/api/v1/query', headers) + body);
        await settled(rig.promgate.url);
        if (leave === 'reset') connection.reset();
        else connection.socket.end();
        await connection.ended;
        connection.socket.destroy();
      }
    }
    await expectServing();
    expect(rig.upstream.requests.length).toBe(before + 1);
  });

  it('of slow clients each is cut off with 408 after 15 s, and others are served all the while', {
    timeout: 120_000,
  }, async () => {
    const started = Array.from({ length: 50 }, () => connectRaw(rig.promgate.url));
    const slow = await Promise.all(started);
    const first = head('/api/v1/query?query=up', [], 'GET').slice(0, -2);
    for (const connection of slow) connection.send(first);
    let done = false;
    const feeding = (async () => {
      while (!done) {
        for (const { socket } of slow) if (socket.writable) socket.write('X-A: b\r\n');
        await expectServing();
        await delay(500);
      }
    })();
    const all = Promise.all(slow.map(({ ended }) => ended)).finally(() => {
      done = true;
    });
    const [ends] = await Promise.all([all, feeding]);
    expect(new Set(ends)).toEqual(new Set(['closed']));
    for (const { received } of slow) {
      const answer = parseAnswer(received());
      expect(answer.status).toBe(408);
      expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 'error', errorType: 'timeout' });
    }
  });
});
