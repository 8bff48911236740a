/**
 * Changed queries, selectors, bodies and paths against a confined endpoint. As part of the tests a few hundred of each;
 * `make fuzz` goes on for FUZZ_SECONDS. Whatever is sent: no answer has a trace of another tenant, none is a 500, no server
 * is asked anything unconfined, and an answer with data is that of a server that has no others' data.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from '../src/promql/parse.ts';
import { print } from '../src/promql/print.ts';
import { around, asked, at, expectExtraFilters } from '../test/guard/attempt.ts';
import { validQueries } from '../test/guard/corpora.ts';
import type { Params } from '../test/support/ask.ts';
import { type Carrier, comparable, expectConfined, type GuardRig, type Reply, startGuardRig } from '../test/support/guard-rig.ts';
import { requestText, sendRaw } from '../test/support/raw.ts';
import { leaks } from '../test/support/tenants.ts';
import { mutatedQuery, mutatedRequest } from './mutate.ts';

const seconds = Number(process.env.FUZZ_SECONDS ?? 0);
/** As part of the tests always the same, so that a change fails for what it does; where there is time, another one each time. */
const seed = Number(process.env.FUZZ_SEED ?? (seconds > 0 ? (Math.random() * 2 ** 31) | 0 : 1));
const properties = 4;
/** Requests at once. */
const batch = 8;
const budget =
  seconds > 0 ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: (seconds * 1000) / properties } : { numRuns: 60 };

let rig: GuardRig;
let inputs = 0;
/** Questions to VictoriaMetrics. */
let filtered = 0;
beforeAll(async () => {
  process.stderr.write(`FUZZ_SEED=${seed}\n`);
  rig = await startGuardRig();
});
afterAll(async () => {
  process.stderr.write(`${inputs} requests\n`);
  await rig?.close();
});

const querySeeds = [
  'up',
  'sum by (job) (rate(http_requests_total{code=~"5.."}[5m]))',
  'topk(2, up) or secret_b_total{namespace="secret-b"}',
  'quantile(scalar(up{job="shop"}), node_load1) # up',
  'histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))',
  'label_replace(up{a!=\'#\', b=~`x\\`}, "namespace", "$1", "job", "(.*)")',
  'max_over_time((up + on (job) group_left (version) target_info)[10m:1m] offset 1m) > bool -1.5e3',
  '{__name__=~"up|secret_b_total", namespace!=""} @ start()',
  '{"http.requests", "a b"="c"} + up',
  'up{namespace="{{kube_namespace}}"} / {{x}}',
  ...validQueries,
];
const selectorSeeds = ['up', '{job="shop"}', 'secret_b_total{namespace="secret-b"}', '{__name__=~".+"}', "up{a='b', c=~`d`}"];
const carriers: Carrier[] = ['GET', 'POST', 'multipart'];
const environments = ['prometheus', 'victoria'] as const;

function check(reply: Reply, written: string): void {
  inputs += 1;
  const text = `${written}\n${substituted(written)}`;
  expect({ leaks: leaks(reply.raw, { asked: text, values: false }), body: reply.body }).toEqual({ leaks: [], body: reply.body });
  if (reply.status >= 500) expect({ text, body: reply.body }).toEqual({ text, body: expect.stringContaining('"timeout"') });
}

/** What a text is with the variables of the seeds filled in. */
function substituted(text: string): string {
  const values: Record<string, string> = { x: 'secret_b_total', kube_namespace: 'shop-prod' };
  return text.replace(/\{\{\s*(\w+)\s*\}\}/g, (whole, name: string) => values[name] ?? whole);
}

/** Batches of inputs, all at once, and then what was asked for them. */
async function fuzz<T>(input: fc.Arbitrary<T>, once: (input: T) => Promise<void>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(input, { minLength: 1, maxLength: batch, size: 'max' }), async (list) => {
      await Promise.all(list.map(once));
      await expectConfined(rig, rig.recorders.prometheus.take());
      const natively = rig.recorders.victoria.take();
      expectExtraFilters(natively);
      filtered += natively.length;
    }),
    { seed, ...budget },
  );
}

describe('changed', { timeout: (seconds + 120) * 1000 }, () => {
  it('queries', async () => {
    const paths = fc.constantFrom('query', 'query', 'query_range', 'query_exemplars', 'format_query', 'parse_query');
    const input = fc.tuple(fc.constantFrom(...environments), paths, mutatedQuery(querySeeds), fc.constantFrom(...carriers));
    await fuzz(input, async ([environment, name, query, carrier]) => {
      const path = `/api/v1/${name}`;
      const params: Params = [...(name === 'query' ? at(query) : around(query)), ['variables[x]', 'secret_b_total']];
      const reply = await rig.send(environment, path, params, carrier);
      check(reply, asked(path, params));
      // Live series are scraped by each server at a time of its own, `absent` names matchers, and variables are ours.
      const comparably = environment === 'prometheus' && name === 'query' && !/@|offset\s*-|absent|\{\{/.test(query);
      if (reply.status !== 200 || !comparably) return;
      let alone = await rig.alone('prometheus', path, at(query));
      // Promgate writes newer spellings, such as `a[600]`, in an older one.
      if (alone.status === 400) alone = await rig.alone('prometheus', path, at(print(parse(query))));
      expect({ query, told: comparable(reply) }).toEqual({ query, told: comparable(alone) });
    });
    expect(filtered).toBeGreaterThan(0);
  });

  it('selectors', async () => {
    const paths = fc.constantFrom('series', 'labels', 'label/namespace/values', 'label/__name__/values');
    const selectors = fc.array(mutatedQuery(selectorSeeds), { minLength: 1, maxLength: 3 });
    const input = fc.tuple(fc.constantFrom(...environments), paths, selectors, fc.constantFrom(...carriers));
    await fuzz(input, async ([environment, name, list, carrier]) => {
      const path = `/api/v1/${name}`;
      const params: Params = [
        ...list.map((text): [string, string] => ['match[]', text]),
        ['start', '1748767800'],
        ['end', '1748768400'],
      ];
      check(await rig.send(environment, path, params, name.startsWith('label/') ? 'GET' : carrier), asked(path, params));
    });
  });

  it('bodies', async () => {
    const urlencoded = [
      'query=up&time=1748768400',
      'match[]=up&start=1748767800',
      'query=secret_b_total%7Bnamespace%3D%22secret-b%22%7D',
    ];
    const field = (name: string): string =>
      `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\nup or secret_b_total\r\n`;
    const file = '--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nabc';
    const parts = [
      ...['query', 'match[]'].map((name) => `${field(name)}--b--\r\n`),
      `${field('query')}${file}\r\n--b--\r\n`,
      `${file}\r\n${field('query')}--b--\r\n`,
      // As when a client is cut off.
      file,
      field('query') + file,
    ];
    const types = ['application/x-www-form-urlencoded', 'multipart/form-data; boundary=b'];
    const paths = fc.constantFrom('query', 'query_range', 'query_exemplars', 'series', 'labels');
    const type = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...types) }, { weight: 1, arbitrary: mutatedRequest(types) });
    const query = fc.oneof({ weight: 3, arbitrary: fc.constant('') }, { weight: 1, arbitrary: mutatedRequest(urlencoded) });
    const input = fc.tuple(paths, type, query, mutatedRequest([...urlencoded, ...parts]));
    await fuzz(input, async ([name, type, query, body]) => {
      const header = type.replace(/[\r\n\0]/g, '');
      await raw('POST', `/api/v1/${name}${query === '' ? '' : `?${query}`}`, [`Content-Type: ${header}`], body);
    });
  });

  it('paths', async () => {
    const api = [
      'query?query=up',
      'series?match[]=up',
      'label/namespace/values?match[]=up',
      'labels',
      'rules',
      'alerts',
      'metadata',
      'query',
    ];
    const seeds = [...api.map((path) => `/api/v1/${path}`), '/federate?match[]=up', '/-/healthy', '/api/v1/status/buildinfo'];
    const input = fc.tuple(fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'PUT'), mutatedRequest(seeds));
    await fuzz(input, async ([method, path]) => raw(method, path));
  });
});

/** A request to the first server's environment, as it is; a request line that is none is refused by the HTTP parser. */
async function raw(method: string, path: string, headers: readonly string[] = [], body?: string): Promise<void> {
  const prefix = new URL(rig.promgate.endpoint('acme/shop:prometheus')).pathname;
  const target = (prefix + path).replace(/[\r\n]/g, '');
  const all = [`Authorization: ${rig.token.basic}`, ...headers];
  const answer = await sendRaw(
    rig.promgate.url,
    requestText(rig.promgate.url, target, { method, headers: all, ...(body === undefined ? {} : { body }) }),
    { method },
  );
  const reply = { status: answer.status, raw: answer.raw.toString(), body: answer.body.toString() };
  expect(answer.ended).not.toBe('deadline');
  expect(reply.status).toBeGreaterThan(0);
  check(reply, [target, lenient(target), body ?? '', lenient(body ?? '')].join('\n'));
}

/** Decoded where it can be. */
function lenient(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (encoded) => Buffer.from(encoded.replaceAll('%', ''), 'hex').toString());
}
