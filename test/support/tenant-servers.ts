/** Real servers that hold the data of `tenants.ts`: one of each kind for everybody, and one for tenant a alone to compare with. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from './ask.ts';
import { expositionText, openMetricsText } from './dataset.ts';
import { type PrometheusOptions, startPrometheus, type TestServer } from './prometheus.ts';
import { liveText, tenantFamilies, tenantRules } from './tenants.ts';
import { startVictoriaMetrics } from './victoria-metrics.ts';

export interface TenantServers {
  /** Everybody's data, under the path `/prom`, with rules and scraped targets. */
  readonly prometheus: TestServer;
  /** Holds nothing but a's data: what it answers to a plain question is what a confined one must give. */
  readonly prometheusOfA: TestServer;
  stop(): Promise<void>;
}

/** Prometheus twice; resolves when all targets are scraped and all rules have been evaluated. */
export async function startTenantPrometheus(): Promise<TenantServers> {
  const targets = await startTargets();
  const flags = ['--query.timeout=10s', '--query.max-samples=2000000'];
  const start = (who: 'a' | 'all', more: PrometheusOptions) =>
    startPrometheus({
      data: openMetricsText(tenantFamilies(who)),
      scrapeConfigs: scrapeConfigs(targets.port, who),
      flags,
      ...more,
    });
  const started = await Promise.allSettled([start('all', { routePrefix: '/prom', rules: tenantRules }), start('a', {})]);
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((result) => (result.status === 'fulfilled' ? result.value.stop() : undefined)));
    await targets.stop();
  };
  const [all, alone] = started;
  try {
    if (all.status === 'rejected') throw all.reason;
    if (alone.status === 'rejected') throw alone.reason;
    await settled(all.value.url, 'count(live_requests_total) == 2 and count(exporter_pods) == 2 and count(ALERTS) == 5');
    await settled(all.value.url, 'count({__name__="shop:requests:sum"}) == 1');
    // It breaks once it is evaluated with the samples of all targets.
    await until(async () => (await ask(`${all.value.url}/api/v1/rules`)).body.includes('"health":"err"'), 'a rule fails');
    await settled(alone.value.url, 'count(live_requests_total) == 1 and count(exporter_pods) == 1');
  } catch (error) {
    await stop();
    throw error;
  }
  return { prometheus: all.value, prometheusOfA: alone.value, stop };
}

export interface TenantVictoriaMetrics {
  readonly victoria: TestServer;
  /** See `prometheusOfA`. */
  readonly victoriaOfA: TestServer;
  stop(): Promise<void>;
}

/** VictoriaMetrics twice, with the two hours of data. */
export async function startTenantVictoriaMetrics(): Promise<TenantVictoriaMetrics> {
  const start = (who: 'a' | 'all') => startVictoriaMetrics({ data: expositionText(tenantFamilies(who)) });
  const victoria = await start('all');
  try {
    const victoriaOfA = await start('a');
    return { victoria, victoriaOfA, stop: async () => void (await Promise.all([victoria.stop(), victoriaOfA.stop()])) };
  } catch (error) {
    await victoria.stop();
    throw error;
  }
}

/** Everybody's targets, or what tenant a alone would have. */
function scrapeConfigs(port: number, who: 'a' | 'all'): object[] {
  const job = (name: string, path: string, labels: Record<string, string>) => ({
    job_name: name,
    metrics_path: `/${path}`,
    // A target that does not answer within it counts as down, and the tests share its process.
    scrape_interval: '3s',
    honor_labels: true,
    static_configs: [{ targets: [`127.0.0.1:${port}`], labels }],
  });
  const shop = job('live', 'a', { namespace: 'shop-prod', instance: 'live-0' });
  if (who === 'a') return [shop, job('exporter', 'shared-a', { instance: 'exporter' })];
  return [
    shop,
    job('exporter', 'shared', { instance: 'exporter' }),
    job('secretb-live', 'b', { namespace: 'secret-b', instance: 'live-0', secretb_zone: 'secretb-1' }),
  ];
}

async function startTargets(): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    const name = request.url?.slice(1) ?? '';
    const target = (['a', 'b', 'shared', 'shared-a'] as const).find((known) => known === name) ?? 'a';
    response.writeHead(200, { 'Content-Type': 'application/openmetrics-text; version=1.0.0; charset=utf-8' });
    response.end(liveText(target));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address !== 'string' ? address.port : 0;
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    const closed = once(server, 'close');
    server.close();
    await closed;
  };
  return { port, stop };
}

async function settled(url: string, query: string): Promise<void> {
  const found = async () => (await ask(`${url}/api/v1/query`, { params: [['query', query]] })).body;
  await until(async () => JSON.parse(await found()).data?.result.length > 0, query);
}

async function until(look: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`never came true: ${what}`);
    await delay(100);
  }
}
