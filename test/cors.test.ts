import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RawResult } from './support/raw.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';

const page = 'https://charts.example';
const query = '/api/v1/query?query=up';
const preflight = ['Access-Control-Request-Method: POST', 'Access-Control-Request-Headers: authorization'];

let rig: StrictRig;

function use(origins: string[]): void {
  beforeAll(async () => {
    rig = await startStrictRig({ settings: { cors: { origins } } });
  });
  afterAll(() => rig?.close());
}

const grants = (answer: RawResult): string[] => [...answer.headers.keys()].filter((name) => name.startsWith('access-control-'));

const from = (origin: string, more: string[] = []) => rig.send(query, { headers: [`Origin: ${origin}`, ...more] });

const ask = (origin: string | null) =>
  rig.send(query, {
    method: 'OPTIONS',
    authorization: null,
    headers: origin === null ? preflight : [`Origin: ${origin}`, ...preflight],
  });

describe('by default', () => {
  use([]);
  it('no page elsewhere may read anything', async () => {
    const answer = await from(page);
    expect([answer.status, grants(answer), answer.headers.has('vary')]).toEqual([200, [], false]);
    const asked = await ask(page);
    expect([asked.status, grants(asked)]).toEqual([401, []]);
  });
});

describe('with origins', () => {
  use([page, 'http://localhost:3000']);
  it.each([page, 'http://localhost:3000'])('%s may read answers and errors alike', async (origin) => {
    const refused = await rig.send(query, { authorization: null, headers: [`Origin: ${origin}`] });
    expect(refused.status).toBe(401);
    const malformed = await rig.send('/api/v1/query?query=%', { headers: [`Origin: ${origin}`] });
    expect(malformed.status).toBe(400);
    for (const answer of [await from(origin), refused, malformed]) {
      expect(answer.headers.get('access-control-allow-origin')).toEqual([origin]);
      expect(answer.headers.get('access-control-expose-headers')?.[0]).toContain('X-Promgate-Cache');
      expect(answer.headers.get('vary')).toEqual(['Origin']);
      expect(answer.headers.has('access-control-allow-credentials')).toBe(false);
    }
  });
  it('it may ask beforehand, without credentials, and the server hears nothing of it', async () => {
    const before = rig.upstream.requests.length;
    const answer = await ask(page);
    expect([answer.status, answer.body.length]).toEqual([204, 0]);
    expect(answer.headers.get('access-control-allow-origin')).toEqual([page]);
    expect(answer.headers.get('access-control-allow-methods')?.[0]).toMatch(/GET.*POST/);
    expect(answer.headers.get('access-control-allow-headers')?.[0]?.toLowerCase()).toContain('authorization');
    expect(answer.headers.has('access-control-allow-credentials')).toBe(false);
    expect(rig.upstream.requests.length).toBe(before);
  });
  it.each([
    'https://charts.example.evil.example',
    'http://charts.example',
    'https://charts.example:8443',
    'https://CHARTS.example',
    'https://sub.charts.example',
    'null',
    '*',
    'https://charts.example, http://localhost:3000',
  ])('%s may not', async (origin) => {
    const answer = await from(origin);
    expect([answer.status, grants(answer), answer.headers.get('vary')]).toEqual([200, [], ['Origin']]);
    const asked = await ask(origin);
    expect([asked.status, grants(asked)]).toEqual([401, []]);
  });
  it('who names no origin gets no permission', async () => {
    expect(grants(await rig.send(query))).toEqual([]);
    expect((await ask(null)).status).toBe(401);
  });
});

describe('with *', () => {
  use(['*']);
  it('every page may, with a token of its own', async () => {
    for (const origin of [page, 'null']) {
      const answer = await from(origin);
      expect(answer.headers.get('access-control-allow-origin')).toEqual(['*']);
      expect(answer.headers.has('access-control-allow-credentials')).toBe(false);
      expect((await ask(origin)).status).toBe(204);
    }
  });
});
