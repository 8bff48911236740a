/** 200 queries as dashboards hold them, asked of a server that confines and of the same one that does not. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createToken } from '../src/access/tokens.ts';
import { applyResources } from '../src/directory/apply.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { openDatabase } from '../src/storage/database.ts';
import { freePort } from '../test/support/ports.ts';
import { serve } from './contenders.ts';
import { PROXY_CORE, startPinned } from './pin.ts';

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

export const queries = Array.from({ length: 200 }, (_, i) =>
  (panels[i % panels.length] as string).replaceAll('job="$"', `job="job-${Math.floor(i / panels.length)}"`),
);

/** One way to ask the 200 queries in turn. */
export interface Guarded {
  readonly name: string;
  readonly origin: string;
  /** For wrk. */
  readonly script: string;
}

export interface GuardBench {
  /** Promgate without enforcement first, then with it, then what else confines and is installed. */
  readonly ways: readonly Guarded[];
  readonly stop: () => Promise<void>;
}

export async function startGuardBench(dir: string, upstream: string): Promise<GuardBench> {
  const dataDir = join(dir, 'guard');
  const database = await openDatabase({ dataDir, databaseUrl: '' });
  const keyring = openKeyring({ dataDir, secretKey: null });
  const resources = `
projects:
  - path: acme/shop
    environments: [{ name: open }, { name: confined, kube_namespace: shop-prod }]
    servers:
      - { name: open, url: "${upstream}", environment_scope: open }
      - { name: confined, url: "${upstream}", environment_scope: confined, enforce: { namespace: "{{kube_namespace}}" } }
`;
  await applyResources(database, keyring, resources, { fileName: 'bench', dryRun: false, prune: false, env: {} });
  const { token } = await createToken(database, { level: 'project', path: 'acme/shop' }, { name: 'bench' });
  await database.close();
  const headers = `{ ["Authorization"] = "Bearer ${token}" }`;
  const script = (environment: string) =>
    writeScript(dir, environment, `/acme/shop/-/environments/${environment}/prometheus`, headers);
  const { origin, stop } = await serve(dataDir);
  const ways: Guarded[] = [
    { name: 'Promgate, as the server is', origin, script: await script('open') },
    { name: 'Promgate, `enforce`: every query confined and verified', origin, script: await script('confined') },
  ];
  const other = await startLabelProxy(upstream);
  if (other !== null)
    ways.push({ name: 'prom-label-proxy', origin: other.url, script: await writeScript(dir, 'proxy', '', '{}') });
  return {
    ways,
    async stop() {
      await stop();
      await other?.stop();
    },
  };
}

async function writeScript(dir: string, name: string, prefix: string, headers: string): Promise<string> {
  const path = (query: string) => `${prefix}/api/v1/query?time=1767229200&query=${encodeURIComponent(query)}`;
  const list = queries.map((query) => `  requests[#requests + 1] = wrk.format("GET", "${path(query)}", headers)`);
  const file = join(dir, `guard-${name}.lua`);
  const lines = ['local requests, at = {}, 0', 'function init()', `  local headers = ${headers}`, ...list, 'end'];
  const turn = ['function request()', '  at = at % #requests + 1', '  return requests[at]', 'end', ''];
  await writeFile(file, [...lines, ...turn].join('\n'));
  return file;
}

/** `null` where it is not on PATH: Debian has no package of it. */
async function startLabelProxy(upstream: string): Promise<{ url: string; stop: () => Promise<void> } | null> {
  const installed = await promisify(execFile)('sh', ['-c', 'command -v prom-label-proxy']).catch(() => null);
  if (installed === null) return null;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const args = [
    `-insecure-listen-address=127.0.0.1:${port}`,
    `-upstream=${upstream}`,
    '-label=namespace',
    '-label-value=shop-prod',
  ];
  const { stop } = await startPinned(PROXY_CORE, 'prom-label-proxy', args, url, { GOMAXPROCS: '1' });
  return { url, stop };
}
