/** The programs behind the demo's endpoint. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Child, startChild } from './child.ts';

export interface PrometheusOptions {
  readonly program: string;
  /** `host:port` to listen on. */
  readonly address: string;
  /** Its configuration and data go there. */
  readonly dir: string;
  /** What to scrape: job → `host:port`. */
  readonly jobs: Readonly<Record<string, string>>;
}

const rulesFile = join(import.meta.dirname, '../../demo/rules.yml');

/** Starts a Prometheus that scrapes the jobs every 5 s. It answers some moments later. */
export async function startPrometheus({ program, address, dir, jobs }: PrometheusOptions): Promise<Child> {
  const config = join(dir, 'prometheus.yml');
  await writeFile(
    config,
    stringify({
      global: { scrape_interval: '5s', evaluation_interval: '5s' },
      rule_files: [rulesFile],
      scrape_configs: Object.entries(jobs).map(([job, target]) => ({ job_name: job, static_configs: [{ targets: [target] }] })),
    }),
  );
  return startChild('Prometheus', program, [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(dir, 'prometheus')}`,
    `--web.listen-address=${address}`,
    '--log.level=warn',
  ]);
}

export function startNodeExporter(program: string, address: string): Child {
  return startChild('The node exporter', program, [`--web.listen-address=${address}`, '--log.level=error']);
}
