import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import { freePort } from './ports.ts';
import { startProcess } from './process.ts';
import { tempDir } from './temp-dir.ts';

const run = promisify(execFile);

export interface PrometheusOptions {
  /** OpenMetrics text with timestamps; becomes blocks. See `dataset.ts`. */
  data?: string;
  /** `groups` of a rule file, in Prometheus' own form. */
  rules?: readonly object[];
  /** Elements of `scrape_configs`, in Prometheus' own form. */
  scrapeConfigs?: readonly object[];
  /** For rules; default 1s. */
  evaluationInterval?: string;
  webConfig?: WebConfig;
  /** Where the port must be known beforehand, as for a Prometheus that scrapes itself; default: any free one. */
  port?: number;
  /** More command-line flags. */
  flags?: readonly string[];
  /** A path of its own, such as `/prom`, in front of everything. */
  routePrefix?: string;
}

export interface WebConfig {
  /** User name → password in clear. */
  basicAuthUsers?: Record<string, string>;
  /** PEM texts (see `tls.ts`). */
  tls?: {
    ca: string;
    cert: string;
    key: string;
    /** Clients must show a certificate of this CA; this one is used to see whether the server is ready. */
    client?: { cert: string; key: string };
  };
}

export interface TestServer {
  /** Without a trailing slash. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  logs(): string;
  stop(): Promise<void>;
}

/** Starts a real Prometheus on 127.0.0.1 with the data given, and waits until it answers queries. */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<TestServer> {
  const dir = await tempDir('prometheus');
  try {
    const storage = join(dir.path, 'data');
    if (options.data !== undefined) await createBlocks(options.data, dir.path, storage);
    const port = options.port ?? (await freePort());
    const tls = options.webConfig?.tls;
    const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}${options.routePrefix ?? ''}`;
    const flags = [
      `--config.file=${await writeConfig(options, dir.path)}`,
      `--storage.tsdb.path=${storage}`,
      // The data sets have fixed dates.
      '--storage.tsdb.retention.time=100y',
      `--web.listen-address=127.0.0.1:${port}`,
      '--enable-feature=exemplar-storage',
      ...(options.routePrefix === undefined ? [] : [`--web.route-prefix=${options.routePrefix}`]),
      ...(options.webConfig === undefined ? [] : [`--web.config.file=${await writeWebConfig(options.webConfig, dir.path)}`]),
      ...(options.flags ?? []),
    ];
    const server = await startProcess('prometheus', flags, { ready: () => isReady(url, options.webConfig) });
    return { url, port, pid: server.pid, logs: server.logs, stop: () => server.stop().then(dir.remove) };
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

async function createBlocks(openMetrics: string, dir: string, storage: string): Promise<void> {
  const file = join(dir, 'data.om');
  await writeFile(file, openMetrics);
  await run('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', '--quiet', file, storage]);
}

async function writeConfig(options: PrometheusOptions, dir: string): Promise<string> {
  const ruleFile = join(dir, 'rules.yml');
  // JSON is YAML.
  await writeFile(ruleFile, JSON.stringify({ groups: options.rules ?? [] }));
  const file = join(dir, 'prometheus.yml');
  await writeFile(
    file,
    JSON.stringify({
      global: { evaluation_interval: options.evaluationInterval ?? '1s' },
      rule_files: options.rules === undefined ? [] : [ruleFile],
      scrape_configs: options.scrapeConfigs ?? [],
    }),
  );
  return file;
}

async function writeWebConfig({ tls, basicAuthUsers }: WebConfig, dir: string): Promise<string> {
  const config: Record<string, unknown> = {};
  if (basicAuthUsers) {
    const users = Object.entries(basicAuthUsers).map(async ([name, password]) => [name, await bcrypt(password)]);
    config.basic_auth_users = Object.fromEntries(await Promise.all(users));
  }
  if (tls) {
    const files = { ca: join(dir, 'ca.pem'), cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') };
    await Promise.all([writeFile(files.ca, tls.ca), writeFile(files.cert, tls.cert), writeFile(files.key, tls.key)]);
    config.tls_server_config = {
      cert_file: files.cert,
      key_file: files.key,
      ...(tls.client ? { client_auth_type: 'RequireAndVerifyClientCert', client_ca_file: files.ca } : {}),
    };
  }
  const file = join(dir, 'web.yml');
  await writeFile(file, JSON.stringify(config));
  return file;
}

/** Perl's `crypt` is libxcrypt's, which knows bcrypt; Node and OpenSSL do not. */
async function bcrypt(password: string): Promise<string> {
  const { stdout } = await run('perl', ['-e', 'print crypt($ARGV[0], $ARGV[1])', password, '$2b$04$abcdefghijklmnopqrstuu']);
  return stdout;
}

async function isReady(url: string, webConfig: WebConfig | undefined): Promise<boolean> {
  const tls = webConfig?.tls;
  const [user] = Object.entries(webConfig?.basicAuthUsers ?? {});
  const dispatcher = new Agent({ connect: tls ? { ca: tls.ca, ...tls.client } : {} });
  try {
    const answer = await request(`${url}/-/ready`, {
      dispatcher,
      headers: user ? { authorization: `Basic ${Buffer.from(user.join(':')).toString('base64')}` } : {},
      headersTimeout: 2_000,
    });
    await answer.body.dump();
    return answer.statusCode === 200;
  } finally {
    await dispatcher.close();
  }
}
