import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Params } from '../support/ask.ts';
import { type CacheRig, expectSame, startCacheRig } from '../support/cache-rig.ts';
import { dataset } from '../support/dataset.ts';
import { startPrometheus, type TestServer } from '../support/prometheus.ts';
import { startRecorder } from '../support/recorder.ts';

/** What is kept as it is: instant queries in the past, and for a short time what series, labels and metadata there are. */
let prometheus: TestServer;
let rig: CacheRig;

beforeAll(async () => {
  prometheus = await startPrometheus({ data: dataset.openMetrics });
  rig = await startCacheRig({
    direct: prometheus.url,
    upstream: await startRecorder(prometheus.url),
    settings: { cache: { metadataTtl: 3_600_000 } },
  });
});

afterAll(async () => {
  await rig?.close();
  await prometheus?.stop();
});

const moment = dataset.start + 3600;
const query = (text: string, more: Params = [['time', String(moment)]]): Params => [['query', text], ...more];

/** Asked of the server once, then not again, and the same to the byte. */
async function expectKept(api: string, params: Params): Promise<void> {
  const first = await rig.through(api, params);
  expect(first).toMatchObject({ status: 200, cache: 'miss', asked: [{}] });
  const again = await rig.through(api, params);
  expect(again).toMatchObject({ cache: 'hit', asked: [] });
  expectSame(again, first);
}

describe('an instant query in the past', () => {
  it.each([
    'sum by (job) (rate(http_requests_total[5m]))',
    'sort_desc(node_load1)',
    'odd_values',
    'up[3m]',
    'max_over_time(up[10m:1m])',
    'scalar(count(up))',
    'time()',
    '"a text"',
    '1 / 0',
    'vector(0 / 0)',
    'nothing_of_this_name',
    'absent(nothing_of_this_name)',
    `up @ ${moment - 60}`,
    'up offset -10m',
  ])('is asked once: %s', (text) => expectKept('query', query(text)));

  it('comes in the server’s own order', async () => {
    await rig.through('query', query('sort(node_load1)'));
    const seen = await rig.through('query', query('sort(node_load1)'));
    expectSame(seen, await rig.direct('query', query('sort(node_load1)')));
  });

  it('is another one at another time, with another lookback, or another text', async () => {
    await expectKept('query', query('up == 1'));
    await expectKept('query', query('up == 1', [['time', String(moment + 0.001)]]));
    await expectKept(
      'query',
      query('up == 1', [
        ['time', String(moment)],
        ['lookback_delta', '1m'],
      ]),
    );
    await expectKept('query', query('up == 0'));
  });

  it('is the same one however its time is written', async () => {
    await expectKept('query', query('up == 2'));
    for (const time of [new Date(moment * 1000).toISOString(), `${moment}.0`, `${moment}.000`]) {
      expect(await rig.through('query', query('up == 2', [['time', time]]))).toMatchObject({ cache: 'hit', asked: [] });
    }
  });

  it('has nothing to do with the range query of the same text', async () => {
    const params = query('up == 3', [
      ['start', String(moment)],
      ['end', String(moment)],
      ['step', '15'],
    ]);
    await expectKept('query', query('up == 3'));
    await expectKept('query_range', params);
  });
});

describe('what series, labels and metadata there are', () => {
  const times = (from: number, to: number): Params => [
    ['start', String(from)],
    ['end', String(to)],
  ];
  const hour = times(dataset.start, dataset.start + 3600);
  const match = (...selectors: string[]): Params => selectors.map((selector) => ['match[]', selector] as const);

  it.each<[string, Params]>([
    ['series', [...match('up'), ...hour]],
    ['series', [...match('up'), ...times(dataset.start, dataset.start + 60)]],
    ['series', [...match('up'), ...hour, ['limit', '1']]],
    ['series', [...match('up', 'node_load1'), ...hour]],
    ['series', match('up')],
    ['labels', []],
    ['labels', hour],
    ['labels', match('up')],
    ['labels', [['limit', '2']]],
    ['label/job/values', []],
    ['label/job/values', hour],
    ['label/job/values', match('node_load1')],
    ['label/instance/values', []],
    ['label/instance/values', times(dataset.end, dataset.end + 1)],
    ['metadata', []],
    ['metadata', [['metric', 'up']]],
    ['metadata', [['limit', '1']]],
  ])('is asked once for each that may differ: %s %j', expectKept);

  it('is what the server says', async () => {
    const params = [...match('odd_values'), ...hour];
    await rig.through('series', params);
    expectSame(await rig.through('series', params), await rig.direct('series', params));
  });

  it('an error is asked for again', async () => {
    for (let time = 0; time < 2; time++) {
      const seen = await rig.through('series', match('up{'));
      expect({ status: seen.status, asked: seen.asked.length }).toEqual({ status: 400, asked: 1 });
    }
  });
});

it('Server-Timing tells what was waited for', async () => {
  const params = query('up == 4');
  expect((await rig.through('query', params)).timing).toMatch(/upstream;dur=\d/);
  expect((await rig.through('query', params)).timing).not.toMatch(/upstream/);
});
