import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { answers200, startProcess } from './process.ts';
import type { TestServer } from './prometheus.ts';
import { tempDir } from './temp-dir.ts';

/**
 * Starts a real VictoriaMetrics on 127.0.0.1.
 * @param options.data Prometheus' text format with timestamps in milliseconds (`dataset.exposition`).
 */
export async function startVictoriaMetrics(options: { data?: string; flags?: readonly string[] } = {}): Promise<TestServer> {
  const dir = await tempDir('victoria-metrics');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const flags = [
    `-storageDataPath=${dir.path}`,
    `-httpListenAddr=127.0.0.1:${port}`,
    // The data sets have fixed dates.
    '-retentionPeriod=100y',
    // Two answers to one question must be the same bytes.
    '-search.disableCache',
    ...(options.flags ?? []),
  ];
  const server = await startProcess('victoria-metrics', flags, { ready: () => answers200(`${url}/health`) });
  const stop = (): Promise<void> => server.stop().then(dir.remove);
  if (options.data !== undefined) {
    try {
      await post(`${url}/api/v1/import/prometheus`, options.data);
      await post(`${url}/internal/force_flush`, '');
    } catch (error) {
      await stop();
      throw error;
    }
  }
  return { url, port, pid: server.pid, logs: server.logs, stop };
}

/** Starts a real vmauth on 127.0.0.1 with the text of its configuration file (`users:`). */
export async function startVmauth(config: string, flags: readonly string[] = []): Promise<TestServer> {
  const dir = await tempDir('vmauth');
  const file = join(dir.path, 'auth.yml');
  await writeFile(file, config);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = await startProcess('vmauth', [`-auth.config=${file}`, `-httpListenAddr=127.0.0.1:${port}`, ...flags], {
    ready: () => answers200(`${url}/health`),
  });
  return { url, port, pid: server.pid, logs: server.logs, stop: () => server.stop().then(dir.remove) };
}

async function post(url: string, body: string): Promise<void> {
  const response = await fetch(url, { method: 'POST', body });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${new URL(url).pathname} was answered with ${response.status}: ${text}`);
}
