import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { answers200, startProcess } from './process.ts';
import type { TestServer } from './prometheus.ts';
import { tempDir } from './temp-dir.ts';
import { startVictoriaMetrics } from './victoria-metrics.ts';

/**
 * Starts a real VictoriaMetrics with a real vmalert behind it, which evaluates the rules each second.
 * `url` is VictoriaMetrics', which hands on what is asked about rules and alerts.
 * @param options.rules `groups` of a rule file, in vmalert's own form.
 */
export async function startVmalert(options: { rules: readonly object[] }): Promise<TestServer> {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const dir = await tempDir('vmalert');
  const store = await startVictoriaMetrics({ flags: [`-vmalert.proxyURL=http://${address}`] });
  const stop = async (): Promise<void> => {
    await store.stop();
    await dir.remove();
  };
  try {
    const file = join(dir.path, 'rules.yml');
    // JSON is YAML.
    await writeFile(file, JSON.stringify({ groups: options.rules }));
    const flags = [
      `-rule=${file}`,
      `-datasource.url=${store.url}`,
      `-remoteWrite.url=${store.url}`,
      // Nobody is told.
      '-notifier.url=http://127.0.0.1:1',
      `-httpListenAddr=${address}`,
      '-evaluationInterval=1s',
    ];
    const vmalert = await startProcess('vmalert', flags, { ready: () => answers200(`http://${address}/health`) });
    return { ...store, stop: () => vmalert.stop().then(stop) };
  } catch (error) {
    await stop();
    throw error;
  }
}
