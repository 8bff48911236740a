import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw } from './support/raw.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';
import { answers, stalls } from './support/strict-upstream.ts';

/** What one valid token must not be able to use up: memory, the event loop, the server's connections, its own time. */
let rig: StrictRig;
beforeAll(async () => {
  rig = await startStrictRig({ settings: { limits: { timeout: 3_000, maxRange: 3_600_000 } } });
});
afterAll(() => rig?.close());

const refusal = (body: Buffer) => JSON.parse(body.toString()) as { errorType: string; error: string };

describe('variables', () => {
  const long = 'x'.repeat(50_000);

  it('that make a short query enormous are refused while they are put in', async () => {
    const before = process.memoryUsage.rss();
    const answer = await rig.post('/api/v1/query', { query: '{{a}}'.repeat(10_000), 'variables[a]': long });
    expect(answer.status).toBe(422);
    expect(refusal(answer.body).error).toContain('max_query_bytes exceeded');
    // All of it would be 500 MB.
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 2 ** 20);
  });

  it('count over all match[] together', async () => {
    const answer = await rig.post('/api/v1/series', { 'match[]': Array(100).fill('{{a}}'), 'variables[a]': long });
    expect(answer.status).toBe(422);
    expect(refusal(answer.body).error).toContain('max_query_bytes exceeded');
  });
});

describe('an empty answer of the server', () => {
  it.each(['200 OK', '500 Internal Server Error'])('with status %s and length 0 ends like any other', async (status) => {
    rig.upstream.play(answers('', status));
    const answer = await rig.send('/api/v1/query?query=up');
    expect(answer).toMatchObject({ status: Number(status.slice(0, 3)), complete: true });
    expect(answer.body.length).toBe(0);
    rig.upstream.play(answers());
  });
});

describe('nesting', () => {
  it('beyond what can be read at all is over the limit, and hides nothing from other limits', async () => {
    const before = rig.upstream.requests.length;
    for (const depth of [150, 260, 5_000]) {
      const answer = await rig.post('/api/v1/query', { query: `${'('.repeat(depth)}max_over_time(up[10y])${')'.repeat(depth)}` });
      expect(answer.status).toBe(422);
      expect(refusal(answer.body).error).toMatch(/max_(depth|range) exceeded/);
    }
    expect(rig.upstream.requests.length).toBe(before);
  });

  it('of operators side by side is none', async () => {
    rig.upstream.play(answers());
    const asked = await rig.reaching(() => rig.post('/api/v1/query', { query: Array(400).fill('up').join(' or ') }));
    expect(asked.params.find(([name]) => name === 'query')?.[1]).toContain('up or up');
  });
});

describe('a client that leaves', () => {
  it.each(['status/buildinfo', 'format_query?query=up'])(
    'frees the server also where the answer of %s is looked at',
    async (path) => {
      rig.upstream.play(stalls);
      const before = rig.upstream.requests.length;
      const connection = await connectRaw(rig.promgate.url);
      connection.send(rig.text(`/api/v1/${path}`));
      const reached = await rig.upstream.request(before);
      connection.socket.destroy();
      await reached.gone;
      rig.upstream.play(answers());
    },
  );
});

describe('a server that never answers', () => {
  it('keeps a client waiting for one timeout, also where its answer is looked at', async () => {
    rig.upstream.play(stalls);
    const answer = await rig.send('/api/v1/status/buildinfo');
    expect(answer.status).toBe(503);
    expect(refusal(answer.body)).toMatchObject({ errorType: 'timeout' });
    rig.upstream.play(answers());
  });
});

describe('request bodies', () => {
  it('together take a bounded part of memory: beyond it, 429', async () => {
    const length = 10 * 2 ** 20;
    const piece = `query=${'x'.repeat(9 * 2 ** 20)}`;
    const head = rig.text('/api/v1/query', {
      method: 'POST',
      headers: ['Content-Type: application/x-www-form-urlencoded', `Content-Length: ${length}`],
    });
    const connections = await Promise.all(Array.from({ length: 9 }, () => connectRaw(rig.promgate.url)));
    const refused = Promise.race(
      connections.map(
        (connection) =>
          new Promise<string>((resolve) => connection.socket.on('data', (chunk: Buffer) => resolve(chunk.toString('latin1')))),
      ),
    );
    for (const connection of connections) {
      connection.send(head);
      connection.send(piece);
    }
    expect(await refused).toMatch(/^HTTP\/1\.1 429 .*Retry-After: 1/s);
    for (const connection of connections) connection.socket.destroy();
    const answer = await rig.send('/api/v1/query?query=up');
    expect(answer.status).toBe(200);
  });
});

describe('text that is no Unicode', () => {
  it('is a bad request, not a failure of ours', async () => {
    const boundary = 'b';
    const field = Buffer.concat([
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="query"\r\nContent-Type: text/plain; charset=utf-16le\r\n\r\n`,
      ),
      Buffer.from([0x00, 0xd8]),
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]);
    const response = await fetch(`${rig.promgate.endpoint('acme/shop:production')}/api/v1/query`, {
      method: 'POST',
      headers: { authorization: rig.token.basic, 'content-type': `multipart/form-data; boundary=${boundary}` },
      body: field,
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errorType: 'bad_data' });
  });
});
