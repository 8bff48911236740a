import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dialects } from './support/database.ts';
import { dataset } from './support/dataset.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';

const run = promisify(execFile);

let prometheus: TestServer;

beforeAll(async () => {
  prometheus = await startPrometheus({ data: dataset.openMetrics });
});

afterAll(() => prometheus?.stop());

const times = [`--start=${dataset.start}`, `--end=${dataset.end}`];

describe.each(dialects)('promtool with the token in the URL, and %s underneath', (database) => {
  let promgate: TestPromgate;
  let endpoint: (token: string) => string;
  let token: TestToken;

  beforeAll(async () => {
    const servers = [{ name: 'main', url: prometheus.url }];
    promgate = await startTestPromgate({
      database,
      resources: JSON.stringify({ projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }] }),
    });
    token = await promgate.token('acme/shop:production', { name: 'promtool' });
    endpoint = (password) => {
      const url = new URL(promgate.endpoint('acme/shop:production'));
      url.username = token.username;
      url.password = password;
      return url.href;
    };
  });

  afterAll(() => promgate?.close());

  it.each([
    ['query instant', ['instant', `--time=${dataset.end}`], ['sort(up)']],
    ['query range', ['range', ...times, '--step=5m'], ['rate(http_requests_total{code="500"}[10m])']],
    ['query series', ['series', ...times, '--match=up', '--match={job="odd"}'], []],
    ['query labels', ['labels', ...times], ['text']],
  ])('prints what it prints for the server itself: %s', async (_, [command = '', ...flags], args) => {
    const query = (url: string) => run('promtool', ['query', command, ...flags, url, ...args]);
    const through = await query(endpoint(token.token));
    const direct = await query(prometheus.url);
    expect(direct.stdout.length).toBeGreaterThan(20);
    expect(through).toEqual(direct);
  });

  it('fails and says so where the token is wrong', async () => {
    const wrong = token.token.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
    const failure = run('promtool', ['query', 'instant', endpoint(wrong), 'up']);
    await expect(failure).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(/unauthorized/i) });
  });
});
