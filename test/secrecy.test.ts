import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from './support/ask.ts';
import { sendRaw } from './support/raw.ts';
import { form } from './support/raw-client.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';
import * as play from './support/strict-upstream.ts';

/** What nobody but the operator may learn, and what not even the log may hold. */
let rig: StrictRig;
let wires: string[];

const secrets = {
  password: 'hunter2-password',
  header: 'hunter2-header',
  parameter: 'hunter2-parameter',
  query: 'hunter2_query',
  variable: 'hunter2-variable',
  wrong: 'hunter2-wrong',
  label: 'hunter2label',
};

const json = 'Content-Type: application/json';

beforeAll(async () => {
  rig = await startStrictRig({
    settings: { limits: { timeout: 500, maxResponse: 10_000 } },
    server: {
      auth: { basic: { username: 'prom', password: secrets.password } },
      headers: { 'X-Api-Key': secrets.header },
      query_params: { api_key: secrets.parameter },
    },
  });
  // The short limit is for a server that says nothing.
  const limits = { timeout: '20s' };
  const servers = [{ name: 'gone', url: 'http://127.0.0.1:1/hidden/path', limits }];
  await rig.promgate.apply(
    JSON.stringify({
      projects: [{ path: 'acme/gone', environments: [{ name: 'production' }], servers }],
      groups: [{ path: 'acme', servers: [{ name: 'nowhere', url: 'http://hidden-host.invalid:9090/hidden/path', limits }] }],
    }),
  );
  wires = await provoke();
});

afterAll(() => rig?.close());

/** Everything that a client gets to see when all goes wrong that can, head and body. */
async function provoke(): Promise<string[]> {
  const seen: string[] = [];
  const query = form({ query: `up{a="${secrets.query}"}`, 'variables[x]': secrets.variable });
  const scripts: play.Script[] = [
    play.answers(),
    play.stalls,
    play.stallsMidBody,
    play.resetsBeforeHeaders,
    play.resetsMidChunk,
    play.sendsShortBody,
    play.sendsGarbage,
    play.sendsHtml,
    play.sendsBrotli,
    play.streams(100_000),
    play.streams(100_000, 'length'),
    play.redirectsTo(`${rig.upstream.url}/login?password=${secrets.password}`),
    play.answers('{}', '401 Unauthorized', [json, `WWW-Authenticate: Basic realm="${rig.upstream.url}"`]),
    play.answers(`no such path ${rig.upstream.url} ${secrets.parameter}`, '404 Not Found', ['Content-Type: text/plain']),
    play.answers(`wrong ${secrets.parameter}`, '400 Bad Request', ['Content-Type: text/plain']),
    play.answers(`broken ${secrets.parameter}`, '500 Internal Server Error', ['Content-Type: text/plain']),
    (socket) => void socket.write(`HTTP/1.1 200 OK\r\nX-A: ${'x'.repeat(100_000)}`),
  ];
  for (const script of scripts) {
    rig.upstream.play(script);
    for (const path of ['query', 'format_query', 'status/buildinfo']) {
      const answer = await sendRaw(
        rig.promgate.url,
        rig.text(`/api/v1/${path}?${query}`, { headers: [`Cookie: a=${secrets.wrong}`] }),
      );
      seen.push(answer.raw.toString());
    }
  }
  rig.upstream.play(play.answers());
  const { endpoint } = rig.promgate;
  const group = await rig.promgate.token('groups/acme');
  for (const target of ['acme/gone:production', 'groups/acme']) {
    const answer = await ask(`${endpoint(target)}/api/v1/query?${query}`, { headers: { authorization: group.basic } });
    expect(answer.status).toBe(503);
    seen.push(answer.body);
  }
  for (const [path, authorization] of [
    [`/api/v1/query?query=%zz${secrets.query}&time=${secrets.query}`, undefined],
    [`/api/v1/query?query=up&time=${secrets.query}`, undefined],
    [`/api/v1/query?query=up;${secrets.query}`, undefined],
    [`/api/v1/query?query=${secrets.query}&query=b`, undefined],
    [`/api/v1/query?query=${secrets.query}${'x'.repeat(200_000).slice(0, 60_000)}`, undefined],
    [`/api/v1/${secrets.query}`, undefined],
    [`/api/v1/label/${secrets.label}/values`, undefined],
    [`/api/v1/query?${query}`, `Bearer ${secrets.wrong}`],
    [`/api/v1/query?${query}`, `Basic ${btoa(`u:${secrets.wrong}`)}`],
  ] as const) {
    const answer = await rig.send(path, authorization === undefined ? {} : { authorization });
    seen.push(answer.raw.toString());
  }
  await rig.post('/api/v1/query', { query: secrets.query, 'variables[x]': secrets.variable });
  return seen;
}

describe('a client never sees', () => {
  it('where a server is', () => {
    expect(wires.length).toBeGreaterThan(50);
    const { host, port } = new URL(rig.upstream.url);
    for (const wire of wires) {
      for (const hidden of [host, `:${port}`, 'hidden', '127.0.0.1:1', 'ENOTFOUND', 'node:', '.ts:', 'undici'])
        expect(wire).not.toContain(hidden);
    }
  });
  it('its credentials', () => {
    for (const wire of wires) {
      for (const hidden of [secrets.password, secrets.header, secrets.parameter, btoa(`prom:${secrets.password}`)])
        expect(wire).not.toContain(hidden);
    }
  });
});

describe('the log, at level debug,', () => {
  it('has each request, with its id, endpoint, target, token, server, status and time', () => {
    const requests = rig.logs.map((line) => JSON.parse(line)).filter((entry) => entry.requestId !== undefined);
    expect(requests.length).toBeGreaterThan(60);
    const served = requests.find((entry) => entry.endpoint === 'query' && entry.status === 200);
    expect(served).toEqual({
      level: 'debug',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      requestId: expect.stringMatching(/\S/),
      endpoint: 'query',
      target: 'acme/shop:production',
      tokenId: rig.token.id,
      server: 'main',
      status: 200,
      durationMs: expect.any(Number),
      msg: 'request',
    });
  });
  it('tells the operator why a server failed', () => {
    const failed = rig.logs.map((line) => JSON.parse(line)).filter((entry) => entry.level === 'warn');
    expect(failed.some((entry) => entry.server === 'main' && entry.status === 503 && entry.code === 'timeout')).toBe(true);
    expect(failed.some((entry) => entry.server === 'gone' && String(entry.detail).includes('ECONNREFUSED'))).toBe(true);
    expect(failed.some((entry) => entry.level === 'error')).toBe(false);
  });
  it('has the client’s request id where that is harmless, else one of its own', async () => {
    for (const [given, kept] of [
      ['abc-123.x:y_z', true],
      ['a b', false],
      ['<script>', false],
      ['x'.repeat(65), false],
      ['{"level":"error"}', false],
    ] as const) {
      const answer = await rig.send('/api/v1/query?query=up', { headers: [`X-Request-Id: ${given}`] });
      const [id = ''] = answer.headers.get('x-request-id') ?? [];
      expect(id === given).toBe(kept);
      expect(rig.logs.some((line) => JSON.parse(line).requestId === id)).toBe(true);
    }
  });
  it('holds no token, no credentials, no query, no parameter and no label of anybody', () => {
    const log = rig.logs.join('\n');
    for (const hidden of Object.values(secrets)) expect(log).not.toContain(hidden);
    expect(log).not.toContain(rig.token.token);
    expect(log).not.toContain(rig.token.basic.slice('Basic '.length));
    expect(log).not.toContain(btoa(`prom:${secrets.password}`));
    expect(log).not.toMatch(/promgate_[0-9A-Za-z]{38}/);
    expect(log).not.toMatch(/authorization|cookie/i);
  });
});
