import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { generator } from './support/dataset.ts';
import { askPanel, pointsOf, remembered, type Window } from './support/panels.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import { type Recorder, startRecorder } from './support/recorder.ts';

/**
 * Windows that end now. The data reach into the future and never change, so that the server's answer to a question is the same
 * whenever it is asked, and "now" is only what Promgate makes of it: for as long as the tests take, it is one moment.
 */
const step = 15;
const recentWindow = 300;
/** A multiple of the step. */
const now = Math.floor(Date.now() / 1000 / step) * step;

let prometheus: TestServer;
let recorder: Recorder;
let promgate: TestPromgate;
let token: TestToken;

beforeAll(async () => {
  prometheus = await startPrometheus({ data: history() });
  recorder = await startRecorder(prometheus.url);
  const servers = [{ name: 'main', url: recorder.url, kind: 'prometheus' }];
  const resources = { projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }] };
  promgate = await startTestPromgate({ resources: JSON.stringify(resources) });
  token = await promgate.token('acme/shop');
  vi.useFakeTimers({ now: now * 1000, toFake: ['Date'] });
});

afterAll(async () => {
  vi.useRealTimers();
  await promgate?.close();
  await recorder?.stop();
  await prometheus?.stop();
});

/** Counters from three hours ago to ten minutes ahead. */
function history(): string {
  const lines = ['# TYPE requests counter'];
  for (const instance of ['a', 'b', 'c']) {
    const random = generator(instance.charCodeAt(0));
    let total = 0;
    for (let time = now - 3 * 3600; time <= now + 600; time += step) {
      // A restart now and then, and silence.
      total = random() < 0.01 ? 0 : total + Math.floor(random() * 100);
      if (random() < 0.95) lines.push(`requests_total{instance="${instance}"} ${total} ${time}`);
    }
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

const queries = ['requests_total', 'sum(rate(requests_total[5m]))', 'increase(requests_total[2m])', 'absent(requests_total)'];

it('a dashboard that is refreshed by a hundred clients asks for what is recent, and every answer is the server’s own', async () => {
  const direct = remembered(prometheus.url);
  const points = 241;
  const refreshed: string[] = [];
  const look = async (query: string, moved: number): Promise<void> => {
    const end = now - 120 + moved * step;
    const window: Window = { start: end - (points - 1) * step, end, step };
    const answer = await askPanel(promgate.endpoint('acme/shop:production'), query, window, token.basic);
    expect(answer.body).toBe(await direct(query, window));
    refreshed.push(answer.cache ?? 'none');
  };
  for (const query of queries) await look(query, 0);
  expect(refreshed.splice(0)).toEqual(queries.map(() => 'miss'));
  expect(recorder.take().map(({ params }) => pointsOf(params))).toEqual(queries.map(() => points));

  const client = async (_: unknown, me: number): Promise<void> => {
    const random = generator(me);
    for (let moved = 0; moved <= 8; moved++) await look(queries[Math.floor(random() * queries.length)] ?? '', moved);
  };
  await Promise.all(Array.from({ length: 100 }, client));
  expect(refreshed.filter((cache) => cache !== 'partial' && cache !== 'coalesced')).toEqual([]);
  // What lies before the recent window at the first look is never asked for again: from there to the end of the last window it is
  // as many points as the recent window has, less the two minutes, and eight more.
  const most = (recentWindow - 120) / step + 8 + 2;
  const asked = recorder.take();
  expect(asked.length).toBeLessThanOrEqual(refreshed.length);
  expect(Math.max(...asked.map(({ params }) => pointsOf(params)))).toBeLessThanOrEqual(most);
}, 120_000);

it('what is recent is asked for again each time, even if nothing has changed', async () => {
  const window: Window = { start: now - 1200, end: now - 60, step };
  for (const cache of ['miss', 'partial', 'partial']) {
    expect((await askPanel(promgate.endpoint('acme/shop:production'), 'requests_total * 2', window, token.basic)).cache).toBe(
      cache,
    );
    expect(recorder.take()).toHaveLength(1);
  }
});
