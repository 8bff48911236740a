import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataset } from './support/dataset.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import { connectRaw, parseAnswer, requestText, sendRaw } from './support/raw.ts';
import { dataOf, form, type RawClient, rawClient, textOf } from './support/raw-client.ts';

let prometheus: TestServer;
let promgate: TestPromgate;
let token: TestToken;
let client: RawClient;

beforeAll(async () => {
  prometheus = await startPrometheus({ data: dataset.openMetrics });
  const servers = [{ name: 'main', url: prometheus.url }];
  promgate = await startTestPromgate({
    resources: JSON.stringify({ projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }] }),
  });
  token = await promgate.token('acme/shop:production');
  client = rawClient(promgate, 'acme/shop', token);
});

afterAll(async () => {
  await promgate?.close();
  await prometheus?.stop();
});

const middle = dataset.start + 3600;

describe('encodings', () => {
  const query = `/api/v1/series?${form({ start: String(dataset.start), end: String(dataset.end), 'match[]': '{__name__!=""}' })}`;

  it.each([
    [null, false],
    ['identity', false],
    ['gzip', true],
    ['GZIP', true],
    ['gzip, deflate, br, zstd', true],
    ['br;q=1.0, gzip;q=0.8, *;q=0.1', true],
    ['*', true],
    ['gzip;q=0', false],
    ['gzip;q=0.000, br', false],
    ['br', false],
    ['deflate', false],
    ['', false],
  ])('Accept-Encoding %j: compressed %j, with the same content and a right length', async (accepted, compressed) => {
    const answer = await client.send(query, { headers: accepted === null ? [] : [`Accept-Encoding: ${accepted}`] });
    expect(answer.headers.get('content-encoding')).toEqual(compressed ? ['gzip'] : undefined);
    const length = answer.headers.get('content-length')?.[0];
    if (length !== undefined) expect(answer.body.length).toBe(Number(length));
    expect(textOf(answer)).toBe(await (await fetch(prometheus.url + query)).text());
  });
});

describe('connections', () => {
  it('take URLs of 60 KiB and bodies of megabytes', async () => {
    const long = await client.send(`/api/v1/query?query=1${'%20'.repeat(20_000)}&time=4`);
    expect(dataOf(long)).toEqual({ resultType: 'scalar', result: [4, '1'] });
    const large = await client.post('/api/v1/query', {
      query: `up{job=~"${'shop|'.repeat(10_000)}node"}`,
      time: String(middle),
      ignored: 'x'.repeat(5_000_000),
    });
    expect(dataOf(large)).toMatchObject({ result: { length: 4 } });
  });
  it('serve one request after the other, and say that they stay open longer than Go’s 90 s', async () => {
    const path = new URL(promgate.endpoint('acme/shop:production')).pathname;
    const one = requestText(promgate.url, `${path}/api/v1/query?query=1&time=4`, { headers: [`Authorization: ${token.basic}`] });
    const text = one.replace('Connection: close', 'Connection: keep-alive');
    const answer = await sendRaw(promgate.url, text);
    expect(answer).toMatchObject({ status: 200, ended: 'open' });
    const seconds = /timeout=(\d+)/.exec(answer.headers.get('keep-alive')?.[0] ?? '')?.[1];
    expect(Number(seconds)).toBeGreaterThan(90);
    const connection = await connectRaw(promgate.url);
    connection.send(text + one);
    expect(await connection.ended).toBe('closed');
    const two = connection.received();
    const second = two.lastIndexOf('HTTP/1.1 ');
    expect(second).toBeGreaterThan(0);
    for (const part of [two.subarray(0, second), two.subarray(second)]) {
      expect(parseAnswer(part)).toMatchObject({ status: 200, complete: true });
    }
  });
});
