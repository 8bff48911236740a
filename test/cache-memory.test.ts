import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CrowdRig, startCrowdRig } from './support/crowd-rig.ts';
import { honest, madeUpText } from './support/made-up.ts';
import { textOf } from './support/raw-client.ts';

const path = '/api/v1/query_range';
const base = 1_748_764_800;

function paramsOf(query: string, points: number): URLSearchParams {
  return new URLSearchParams({ query, start: `${base}`, end: `${base + (points - 1) * 15}`, step: '15' });
}

/** Asks, sees that the answer is right, and gives `X-Promgate-Cache`. */
async function look(rig: CrowdRig, query: string, points = 61): Promise<string | undefined> {
  const params = paramsOf(query, points);
  const answer = await rig.ask(`${path}?${params}`);
  expect([answer.status, textOf(answer)]).toEqual([200, madeUpText({ path, params })]);
  return answer.headers.get('x-promgate-cache')?.[0];
}

async function metric(rig: CrowdRig, name: string): Promise<number> {
  const text = await (await fetch(`${rig.promgate.opsUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

const queries = (count: number) => Array.from({ length: count }, (_, index) => `up_${index}`);

// Hundreds of questions, one after the other.
describe('a memory of 256 KiB', { timeout: 120_000 }, () => {
  const memory = 256 * 1024;
  let rig: CrowdRig;
  beforeAll(async () => {
    rig = await startCrowdRig({ cache: { memory } });
    rig.upstream.play(honest());
  });
  afterAll(() => rig?.close());

  it('never holds more; what was not looked at for longest goes, and all answers stay right', async () => {
    for (const query of queries(200)) {
      expect(await look(rig, query)).toBe('miss');
      expect(await metric(rig, 'promgate_cache_bytes')).toBeLessThanOrEqual(memory);
      // In use all the time.
      if (query !== 'up_0') expect(await look(rig, 'up_0')).toBe('hit');
    }
    expect(await metric(rig, 'promgate_cache_bytes')).toBeGreaterThan(memory / 2);
    expect(await look(rig, 'up_199')).toBe('hit');
    expect(await look(rig, 'up_1')).toBe('miss');
  });

  it('does not keep an answer that would drive out most others', async () => {
    await look(rig, 'up_198');
    for (let turn = 0; turn < 2; turn++) expect(await look(rig, 'large', 5_000)).not.toBe('hit');
    expect(await look(rig, 'up_198')).toBe('hit');
  });

  it('holds to it while windows grow', async () => {
    for (let points = 20; points < 400; points += 20) {
      for (const query of queries(20)) await look(rig, query, points);
      expect(await metric(rig, 'promgate_cache_bytes')).toBeLessThanOrEqual(memory);
    }
  });
});

describe('no memory', () => {
  let rig: CrowdRig;
  beforeAll(async () => {
    rig = await startCrowdRig({ cache: { memory: 0 } });
    rig.upstream.play(honest());
  });
  afterAll(() => rig?.close());

  it('keeps nothing', async () => {
    const asked = await rig.during(async () => {
      for (let turn = 0; turn < 3; turn++) expect(await look(rig, 'up')).toBe('bypass');
    });
    expect(asked).toHaveLength(3);
    expect(await metric(rig, 'promgate_cache_bytes')).toBe(0);
  });
});
