import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from './support/ask.ts';
import { connectRaw, sendRaw } from './support/raw.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';
import { answers, stalls } from './support/strict-upstream.ts';

const run = promisify(execFile);

let rig: StrictRig;

beforeAll(async () => {
  rig = await startStrictRig({ settings: { limits: { maxRange: 60_000 } } });
});

afterAll(() => rig?.close());

async function metrics(): Promise<string> {
  const answer = await ask(`${rig.promgate.opsUrl}/metrics`);
  expect(answer).toMatchObject({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' });
  return answer.body;
}

/** The value of one series, 0 where it is not there. */
async function value(series: string): Promise<number> {
  const line = (await metrics()).split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}

async function growth(series: string, work: () => Promise<unknown>): Promise<number> {
  const before = await value(series);
  await work();
  return (await value(series)) - before;
}

describe('the listener for operators', () => {
  it('says that the process is healthy and ready', async () => {
    expect(await ask(`${rig.promgate.opsUrl}/-/healthy`)).toMatchObject({ status: 200, body: 'Promgate is Healthy.\n' });
    expect(await ask(`${rig.promgate.opsUrl}/-/ready`)).toMatchObject({ status: 200, body: 'Promgate is Ready.\n' });
  });
  it('has no endpoints, and the gateway has no metrics', async () => {
    const path = new URL(rig.promgate.endpoint('acme/shop:production')).pathname;
    const headers = { authorization: rig.token.basic };
    expect((await ask(`${rig.promgate.opsUrl}${path}/api/v1/query?query=up`, { headers })).status).toBe(404);
    for (const url of ['/metrics', '/-/ready', '/-/healthy', '/debug/pprof']) {
      expect((await ask(rig.promgate.url + url, { headers })).status).toBe(404);
    }
  });
});

describe('its own metrics', () => {
  const query = '/api/v1/query?query=up';

  it('count requests by endpoint and code', async () => {
    const series = 'promgate_http_requests_total{endpoint="query",code="200"}';
    expect(await growth(series, () => rig.send(query))).toBe(1);
    expect(await growth('promgate_http_request_duration_seconds_count{endpoint="query"}', () => rig.send(query))).toBe(1);
    const unauthorized = 'promgate_http_requests_total{endpoint="unknown",code="401"}';
    expect(await growth(unauthorized, () => rig.send(query, { authorization: null }))).toBe(1);
    const left = 'promgate_http_requests_total{endpoint="query",code="499"}';
    const leave = async () => {
      rig.upstream.play(stalls);
      const count = rig.upstream.requests.length;
      const connection = await connectRaw(rig.promgate.url);
      connection.send(rig.text(query));
      const asked = await rig.upstream.request(count);
      connection.reset();
      await asked.gone;
      rig.upstream.play(answers());
    };
    expect(await growth(left, leave)).toBe(1);
  });

  it('count what was asked of servers, by server and code', async () => {
    const series = (code: string) => `promgate_upstream_requests_total{server="main",code="${code}"}`;
    expect(await growth(series('200'), () => rig.send(query))).toBe(1);
    expect(await growth('promgate_upstream_request_duration_seconds_count{server="main"}', () => rig.send(query))).toBe(1);
    rig.upstream.play(answers('{}', '422 Unprocessable Entity'));
    expect(await growth(series('422'), () => rig.send(query))).toBe(1);
    rig.upstream.play(stalls);
    const { settings } = rig.promgate;
    rig.promgate.reload({ ...settings, limits: { ...settings.limits, timeout: 300 } });
    try {
      expect(await growth(series('timeout'), () => rig.send(query))).toBe(1);
    } finally {
      rig.promgate.reload(settings);
      rig.upstream.play(answers());
    }
  });

  it('count refusals by their reason', async () => {
    const series = (reason: string) => `promgate_guard_rejections_total{reason="${reason}"}`;
    expect(await growth(series('bad_data'), () => rig.send('/api/v1/query?query=%'))).toBe(1);
    const wide = '/api/v1/query_range?query=up&start=0&end=100&step=1';
    expect(await growth(series('limit'), () => rig.send(wide))).toBe(1);
  });

  it('tell the version', async () => {
    expect(await metrics()).toMatch(/^promgate_build_info\{version="\d+\.\d+\.\d+",.*\} 1$/m);
  });

  it('have all names of the contract, with bounded labels whatever is asked', async () => {
    for (let i = 0; i < 30; i++) {
      await rig.send(`/api/v1/nothing-${i}?a=${i}`);
      await rig.send(`/api/v1/label/name_${i}/values`);
      await sendRaw(rig.promgate.url, rig.text(query).replace('/acme/', `/tenant-${i}/`));
      await sendRaw(rig.promgate.url, rig.text(query, { method: `GET`, headers: [`X-Request-Id: id-${i}`] }));
      await sendRaw(rig.promgate.url, `GET /elsewhere-${i} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    }
    const text = await metrics();
    for (const name of [
      'promgate_http_requests_total',
      'promgate_http_request_duration_seconds',
      'promgate_upstream_requests_total',
      'promgate_upstream_request_duration_seconds',
      'promgate_cache_requests_total',
      'promgate_cache_bytes',
      'promgate_guard_rejections_total',
      'promgate_build_info',
    ]) {
      expect(text).toMatch(new RegExp(`^# HELP ${name} .`, 'm'));
      expect(text).toMatch(new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`, 'm'));
      expect(text).toMatch(new RegExp(`^${name}(_count)?[{ ]`, 'm'));
    }
    expect(text).not.toMatch(/nothing-|name_|tenant-|id-|elsewhere-|acme|shop/);
    expect(text).not.toContain(rig.token.token);
    expect(text).not.toContain(new URL(rig.upstream.url).host);
    expect(text.split('\n').length).toBeLessThan(400);
  });

  it('please promtool check metrics', async () => {
    const checking = run('promtool', ['check', 'metrics']);
    checking.child.stdin?.end(await metrics());
    expect(await checking).toEqual({ stdout: '', stderr: '' });
  });
});
