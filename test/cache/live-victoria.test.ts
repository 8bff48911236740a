import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CacheRig, startCacheRig, unrecorded } from '../support/cache-rig.ts';
import type { TestServer } from '../support/prometheus.ts';
import { type TempDir, tempDir } from '../support/temp-dir.ts';
import { startVictoriaMetrics } from '../support/victoria-metrics.ts';
import { type Look, looker } from './live-look.ts';
import { type LiveTargets, startLiveTargets } from './live-page.ts';

/** As `live.test.ts`, against a VictoriaMetrics that scrapes by itself. */
const recentWindow = 5_000;
let targets: LiveTargets;
let files: TempDir;
let victoria: TestServer;
let rig: CacheRig;
let look: Look;

beforeAll(async () => {
  targets = await startLiveTargets();
  files = await tempDir('scrape');
  const config = join(files.path, 'scrape.yml');
  await writeFile(config, JSON.stringify({ scrape_configs: targets.scrapeConfigs }));
  // By default it makes up the last half minute, which is far inside the recent window then.
  const flags = [`-promscrape.config=${config}`, '-search.latencyOffset=1s', '-search.disableCache=false'];
  victoria = await startVictoriaMetrics({ flags });
  rig = await startCacheRig({ direct: victoria.url, upstream: unrecorded(victoria), settings: { cache: { recentWindow } } });
  look = looker(rig, recentWindow);
  // A new series is found some seconds after its first samples came; the usual recent window is far longer.
  const params = [['query', 'count({job=~".+"})']] as const;
  while ((await rig.direct('query', params)).body.includes('"result":[]')) await delay(200);
  await delay(recentWindow);
}, 60_000);

afterAll(async () => {
  await rig?.close();
  await victoria?.stop();
  await targets?.stop();
  await files?.remove();
});

/**
 * Of series without gaps. From the first samples of a series in the range this server guesses how far they lie apart, and so how
 * long one counts; so a point of a series that comes and goes is there or not, depending on what else is asked for.
 */
const kept = [
  'live_total{job="steady"}',
  'rate(live_total{job="steady"}[3s])',
  'increase(live_total{job="steady"}[10s])',
  'sum by (code) (live_total{job="steady"})',
  'live_level{job="steady"}',
  'up',
  'up offset 3s',
  'changes(up[10s])',
  'histogram_quantile(0.9, rate(live_seconds_bucket{job="steady"}[5s]))',
  'time()',
  'vector(1)',
  'nothing_of_this_name',
];

it('windows that end now are answered as VictoriaMetrics does', async () => {
  const counts = new Map<string, number>();
  const seconds = () => Math.floor(Date.now() / 1000);
  const begin = seconds();
  const partial = () => counts.get('partial') ?? 0;
  for (let round = 0; seconds() < begin + 15 || partial() <= 20; round++) {
    targets.fail('fickle', Math.floor(round / 3) % 2 === 1);
    for (const query of kept) {
      const cache = await look(query, begin, seconds(), 1);
      counts.set(cache, (counts.get(cache) ?? 0) + 1);
    }
    await delay(200);
  }
  expect(partial()).toBeGreaterThan(20);
}, 120_000);
