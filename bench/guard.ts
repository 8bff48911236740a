/** 200 queries as dashboards hold them, asked of a server that confines and of the same one that does not. */
import { join } from 'node:path';
import { createToken } from '../src/access/tokens.ts';
import { applyResources } from '../src/directory/apply.ts';
import { commandLineActor } from '../src/ops/audit.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { openDatabase } from '../src/storage/database.ts';
import { freePort } from '../test/support/ports.ts';
import { type Running, serve } from './contenders.ts';
import { type Ask, writeScript } from './load.ts';
import { isInstalled, PROXY_CORE, startPinned } from './pin.ts';
import type { Way } from './rounds.ts';

/** What the panels of usual dashboards ask, for one job each. */
const panels = [
  'up{job="$"}',
  'sum(rate(http_requests_total{job="$"}[5m])) by (code)',
  'sum by (handler) (rate(http_requests_total{job="$",code=~"5.."}[5m])) / sum by (handler) (rate(http_requests_total{job="$"}[5m]))',
  'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{job="$"}[5m])))',
  'histogram_quantile(0.5, sum by (le, handler) (rate(http_request_duration_seconds_bucket{job="$"}[5m])))',
  '100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{job="$",mode="idle"}[5m])))',
  'node_memory_MemAvailable_bytes{job="$"} / node_memory_MemTotal_bytes{job="$"}',
  'topk(10, sum by (pod) (container_memory_working_set_bytes{job="$",container!="POD"}))',
  'sum by (pod) (increase(kube_pod_container_status_restarts_total{job="$"}[1h])) > 0',
  'max_over_time(process_resident_memory_bytes{job="$"}[1h])',
  'avg_over_time(up{job="$"}[1d]) < 0.99',
  'predict_linear(node_filesystem_avail_bytes{job="$",fstype!~"tmpfs|overlay"}[6h], 4 * 3600) < 0',
  'sum(rate(grpc_server_handled_total{job="$",grpc_code!="OK"}[5m])) by (grpc_method) or vector(0)',
  'absent(up{job="$"})',
  'label_replace(kube_pod_info{job="$"}, "short", "$1", "pod", "(.*)-[^-]+-[^-]+")',
  'quantile(0.9, rate(go_gc_duration_seconds_sum{job="$"}[5m]))',
  'count by (version) (build_info{job="$"})',
  'deriv(go_goroutines{job="$"}[30m])',
  'max by (instance) (time() - process_start_time_seconds{job="$"})',
  'sum(rate(http_requests_total{job="$"}[5m] offset 1w)) and on() vector(1)',
];

const queries = Array.from({ length: 200 }, (_, i) =>
  (panels[i % panels.length] as string).replaceAll('job="$"', `job="job-${Math.floor(i / panels.length)}"`),
);

export interface GuardBench {
  /** Promgate without enforcement first, then with it, then what else confines and is installed. */
  readonly ways: readonly Way[];
  /** How many. */
  readonly queries: number;
  readonly stop: () => Promise<void>;
}

export async function startGuardBench(dir: string, upstream: string): Promise<GuardBench> {
  const dataDir = join(dir, 'guard');
  const database = await openDatabase({ dataDir, databaseUrl: '' });
  const keyring = openKeyring({ dataDir, secretKey: null });
  const servers = [
    { name: 'open', url: upstream, environment_scope: 'open', cache: { enabled: false } },
    {
      name: 'confined',
      url: upstream,
      environment_scope: 'confined',
      cache: { enabled: false },
      enforce: { namespace: '{{kube_namespace}}' },
    },
  ];
  const environments = [{ name: 'open' }, { name: 'confined', kube_namespace: 'shop-prod' }];
  const resources = JSON.stringify({ projects: [{ path: 'acme/shop', environments, servers }] });
  const actor = commandLineActor('bench');
  await applyResources(database, keyring, resources, { fileName: 'bench', dryRun: false, prune: false, env: {}, actor });
  const { token } = await createToken(database, { level: 'project', path: 'acme/shop' }, { name: 'bench' }, actor);
  await database.close();
  const headers = { Authorization: `Bearer ${token}` };
  const script = (environment: string) => writeScript(dir, asks(`/acme/shop/-/environments/${environment}/prometheus`, headers));
  const { origin, pid, stop } = await serve(dataDir);
  const ways: Way[] = [
    { name: 'Promgate, as the server is', origin, pid, script: await script('open') },
    { name: 'Promgate, `enforce`: every query confined and verified', origin, pid, script: await script('confined') },
  ];
  // Debian has no package of it.
  const other = (await isInstalled('prom-label-proxy')) ? await startLabelProxy(upstream) : null;
  if (other !== null) {
    ways.push({ name: 'prom-label-proxy', origin: other.origin, pid: other.pid, script: await writeScript(dir, asks('', {})) });
  }
  return {
    ways,
    queries: queries.length,
    async stop() {
      await stop();
      await other?.stop();
    },
  };
}

function asks(prefix: string, headers: Ask['headers']): readonly Ask[] {
  return queries.map((query) => ({ path: `${prefix}/api/v1/query?time=1767229200&query=${encodeURIComponent(query)}`, headers }));
}

async function startLabelProxy(upstream: string): Promise<Running & { readonly origin: string }> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const args = [
    `-insecure-listen-address=127.0.0.1:${port}`,
    `-upstream=${upstream}`,
    '-label=namespace',
    '-label-value=shop-prod',
  ];
  const { pid, stop } = await startPinned(PROXY_CORE, 'prom-label-proxy', args, origin, { GOMAXPROCS: '1' });
  return { origin, pid, stop };
}
