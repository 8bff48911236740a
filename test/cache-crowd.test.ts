import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataset, generator } from './support/dataset.ts';
import { askPanel, type Panelled, panels, pointsOf, remembered, type Window } from './support/panels.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { type Recorder, startRecorder } from './support/recorder.ts';
import { type Served, startServed } from './support/served.ts';

/** Many screens at once, in front of a real Prometheus; Promgate is a process of its own, so that its memory is nobody else's. */
const MIB = 2 ** 20;
const memory = 8 * MIB;
const clients = 100;
const refreshes = 60;
const step = 30;
const points = 121;
/** So far may one client be ahead of the slowest one, in steps. */
const leash = 4;

let prometheus: TestServer;
let recorder: Recorder;
let served: Served;
let authorization: string;
let endpoint: string;

beforeAll(async () => {
  prometheus = await startPrometheus({ data: dataset.openMetrics });
  recorder = await startRecorder(prometheus.url);
  const servers = [{ name: 'main', url: recorder.url, kind: 'prometheus' }];
  const resources = { projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }] };
  served = await startServed(resources, 'cache: { memory: 8MiB }');
  ({ authorization } = await served.token('acme/shop:production'));
  endpoint = `${served.url}/acme/shop/-/environments/production/prometheus`;
});

afterAll(async () => {
  await served?.remove();
  await recorder?.stop();
  await prometheus?.stop();
});

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${served.opsUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

/** Bytes. */
async function residentMemory(): Promise<number> {
  const status = await readFile(`/proc/${served.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** The window that has moved by so many steps: all lie within the data. */
function windowAt(moved: number): Window {
  const start = dataset.start + 600 + moved * step;
  return { start, end: start + (points - 1) * step, step };
}

describe('a hundred clients with twenty panels, whose windows move on at random moments', () => {
  it('all get what the server says, and it is asked once at most for each panel and window', async () => {
    const direct = remembered(prometheus.url);
    const asked = new Set<string>();
    const wrong: string[] = [];
    const results: Record<string, number> = {};
    let answers = 0;

    async function look(query: string, moved: number): Promise<void> {
      asked.add(`${moved} ${query}`);
      const window = windowAt(moved);
      const answer: Panelled = await askPanel(endpoint, query, window, authorization);
      answers++;
      results[answer.cache ?? 'none'] = (results[answer.cache ?? 'none'] ?? 0) + 1;
      if (answer.status !== 200 || answer.body !== (await direct(query, window)))
        wrong.push(`${moved} ${query}: ${answer.cache}`);
    }

    for (const query of panels) await look(query, 0);
    expect(results).toEqual({ miss: panels.length });
    const before = await residentMemory();
    let mostBytes = 0;
    const watching = setInterval(async () => {
      mostBytes = Math.max(mostBytes, await metric('promgate_cache_bytes').catch(() => 0));
    }, 200);

    const moved = Array<number>(clients).fill(0);
    const client = async (_: unknown, me: number): Promise<void> => {
      const random = generator(me);
      for (let refresh = 0; refresh < refreshes; refresh++) {
        const mine = moved[me] ?? 0;
        if (random() < 0.5 && mine < Math.min(...moved) + leash) moved[me] = mine + 1;
        await look(panels[Math.floor(random() * panels.length)] ?? '', moved[me] ?? 0);
      }
      // Holds nobody back any more.
      moved[me] = Number.POSITIVE_INFINITY;
    };
    await Promise.all(Array.from({ length: clients }, client));
    clearInterval(watching);

    expect(wrong).toEqual([]);
    expect(answers).toBe(panels.length + clients * refreshes);
    const upstream = recorder.take();
    // All windows overlap, so what is kept of a panel is one stretch, and a window lacks at most what is at one end of it. Two
    // who lack the same share one question; whoever comes later finds it there.
    expect(upstream.length).toBeLessThanOrEqual(asked.size);
    // And each of these questions is about at most as many steps as windows ever move.
    const most = panels.length * points + (upstream.length - panels.length) * refreshes;
    expect(upstream.reduce((sum, { params }) => sum + pointsOf(params), 0)).toBeLessThanOrEqual(most);
    expect(most).toBeLessThan(0.1 * answers * points);

    expect(mostBytes).toBeGreaterThan(0);
    expect(mostBytes).toBeLessThanOrEqual(memory);
    expect((await residentMemory()) - before).toBeLessThan(120 * MIB);
  }, 240_000);

  it('and what they saw is still there: the same windows again ask nothing', async () => {
    const direct = remembered(prometheus.url);
    for (const query of panels) {
      const answer = await askPanel(endpoint, query, windowAt(3), authorization);
      expect([answer.cache, answer.body]).toEqual(['hit', await direct(query, windowAt(3))]);
    }
    expect(recorder.take()).toEqual([]);
  });
});
