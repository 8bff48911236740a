import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { revokeToken } from '../../src/access/tokens.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { tester } from '../support/actor.ts';
import type { Params } from '../support/ask.ts';
import {
  comparable,
  eventually,
  expectConfined,
  expectNoTrace,
  type GuardRig,
  multipart,
  type SharedServer,
  sendAs,
  startGuardRig,
} from '../support/guard-rig.ts';
import { requestText, sendRaw } from '../support/raw.ts';
import { foreignNamespace, leaks } from '../support/tenants.ts';
import { asked, at, expectExtraFilters } from './attempt.ts';

/** Attacks through everything of a request but the text of a query or selector. */
let rig: GuardRig;
beforeAll(async () => {
  rig = await startGuardRig();
});
afterAll(() => rig?.close());

const servers: SharedServer[] = ['prometheus', 'victoria'];
const urlencoded = 'Content-Type: application/x-www-form-urlencoded';
const window: Params = [
  ['start', '1748767800'],
  ['end', '1748768400'],
];

describe('attack 4: one parameter that several programs read differently', () => {
  const evil = 'secret_b_total{namespace="secret-b"}';
  const encoded = encodeURIComponent(evil);

  /** Whatever comes of it: no trace, and nothing unconfined was sent. Gives the status. */
  async function post(path: string, headers: readonly string[], body: string): Promise<number> {
    const prefix = new URL(rig.promgate.endpoint('acme/shop:prometheus')).pathname;
    const all = [`Authorization: ${rig.token.basic}`, ...headers];
    const answer = await sendRaw(
      rig.promgate.url,
      requestText(rig.promgate.url, prefix + path, { method: 'POST', headers: all, body }),
    );
    expect(answer.complete).toBe(true);
    expect(leaks(answer.raw.toString(), { asked: `${decodeURIComponent(path)}\n${evil}` })).toEqual([]);
    await expectConfined(rig, rig.recorders.prometheus.take());
    return answer.status;
  }

  it('the query in URL and body: that of the body, confined', async () => {
    const reply = await rig.send('prometheus', `/api/v1/query?query=${encoded}`, at('up'), 'POST');
    expect(comparable(reply)).toEqual(comparable(await rig.alone('prometheus', '/api/v1/query', at('up'))));
    const other = await rig.send('prometheus', '/api/v1/query?query=up', at(evil), 'multipart');
    expect(JSON.parse(other.body).data.result).toEqual([]);
    expect(await expectConfined(rig, rig.recorders.prometheus.take())).toBe(2);
  });
  it.each([
    ['twice in the URL', `/api/v1/query?query=up&query=${encoded}`, [urlencoded], ''],
    ['twice in the body', '/api/v1/query', [urlencoded], `query=up&query=${encoded}`],
    ['by a semicolon in the URL', `/api/v1/query?query=up;query=${encoded}`, [urlencoded], ''],
    ['by a semicolon in the body', '/api/v1/query', [urlencoded], `query=up;query=${encoded}`],
  ])('%s: 400', async (_, path, headers, body) => {
    expect(await post(path, headers, body)).toBe(400);
  });
  it.each([
    [
      'names that are nearly the same',
      `/api/v1/query?Query=${encoded}&query%00=${encoded}&query[]=${encoded}`,
      urlencoded,
      'query=up',
    ],
    ['an encoded name', `/api/v1/query?qu%65ry=${encoded}`, urlencoded, 'time=1748768400'],
    ['another content type', '/api/v1/query?query=up', 'Content-Type: text/plain', `query=${evil}`],
    ['JSON', '/api/v1/query?query=up', 'Content-Type: application/json', JSON.stringify({ query: evil })],
    ['a body whose type is not what it is', '/api/v1/query?query=up', urlencoded, multipart([['query', evil]]).body],
    ['multipart by no boundary', '/api/v1/query?query=up', 'Content-Type: multipart/form-data', `query=${encoded}`],
    ['an encoding within', '/api/v1/query', urlencoded, `query=${encodeURIComponent(encoded)}`],
    ['raw bytes', '/api/v1/query', urlencoded, `query=up\r\n\r\n${evil}`],
  ])('%s', async (_, path, type, body) => {
    expect(await post(path, [type], body)).toBeLessThan(500);
  });
  it.each([
    ['a file', 'form-data; name="query"; filename="q"'],
    ['a charset', 'form-data; name="query"\r\nContent-Type: text/plain; charset=utf-7'],
    ['a transfer encoding', 'form-data; name="query"\r\nContent-Transfer-Encoding: base64'],
    ['a name in RFC 5987', "form-data; name*=utf-8''query"],
    ['two names', 'form-data; name="x"; name="query"'],
    ['a name without quotes', 'form-data; name=query'],
    ['no form-data', 'attachment; name="query"'],
    ['no name', 'form-data; x="query"'],
  ])('a part of a multipart body with %s', async (_, disposition) => {
    const body = `--b\r\nContent-Disposition: ${disposition}\r\n\r\n${evil}\r\n--b--\r\n`;
    const headers = ['Content-Type: multipart/form-data; boundary=b'];
    expect(await post('/api/v1/query?query=up', headers, body)).toBeLessThan(500);
    expect(await post('/api/v1/series?match[]=up', headers, body.replaceAll('query', 'match[]'))).toBeLessThan(500);
  });
  it('selectors in URL and body: each is confined', async () => {
    const path = '/api/v1/series?match[]=secret_b_total&match[]=up';
    expect(await rig.send('prometheus', path, [['match[]', '{namespace="secret-b"}'], ...window], 'POST')).toMatchObject({
      status: 200,
    });
    expect(await expectConfined(rig, rig.recorders.prometheus.take())).toBe(3);
    expect(await post(path, [urlencoded], 'match[]={job="secretb"}&match=secret_b_total&match%5B%5D=%7Bjob%3D%22x%22%7D')).toBe(
      200,
    );
  });
});

describe('attack 10: other servers’ own ways to choose a tenant', () => {
  const foreign: Params = [
    ['extra_label', 'namespace=secret-b'],
    ['extra_label[]', 'namespace=secret-b'],
    ['extra_filters', '{namespace="secret-b"}'],
    ['extra_filters[]', '{namespace="secret-b"}'],
    ['extra_filters[]', '{namespace=~".*"} or {__name__!=""}'],
    ['tenant', 'secret-b'],
    ['dedup', 'false'],
    ['partial_response', 'true'],
    ['storeMatch[]', '{namespace="secret-b"}'],
    ['replicaLabels[]', 'namespace'],
    ['X-Scope-OrgID', 'secret-b'],
    ['match', 'secret_b_total'],
    ['variables[kube_namespace]', 'secret-b'],
    ['variables[environment]', 'other/secret'],
  ];
  const headers = [
    'X-Scope-OrgID: secret-b',
    'THANOS-TENANT: secret-b',
    'AccountID: 0:1',
    'ProjectID: 1',
    'X-Prom-Label-Proxy: secret-b',
    'X-Forwarded-User: secret-b',
    'X-Original-URL: /api/v1/query?query=secret_b_total',
    'X-Rewrite-URL: /api/v1/query?query=secret_b_total',
    'X-HTTP-Method-Override: DELETE',
    'X-Forwarded-Prefix: /other/secret',
    'Cookie: namespace=secret-b',
  ];
  const questions: [string, Params][] = [
    ['/api/v1/query', at('up')],
    ['/api/v1/query', at('up{namespace="{{kube_namespace}}"}')],
    ['/api/v1/query_range', [['query', 'up'], ['step', '60'], ...window]],
    ['/api/v1/series', [['match[]', 'up'], ...window]],
    ['/api/v1/labels', window],
    ['/api/v1/label/namespace/values', window],
    ['/api/v1/rules', []],
    ['/api/v1/alerts', []],
    ['/api/v1/metadata', []],
  ];
  describe.each(servers)('%s', (server) => {
    it.each(questions)('%s %j', async (path, params) => {
      const plain = await rig.send(server, path, params);
      expectNoTrace(plain, asked(path, params));
      const sentPlain = rig.recorders[server].take();
      const text = foreign.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
      for (const reply of [
        await rig.send(server, path, [...params, ...foreign], 'GET', headers),
        ...(/(?:query|query_range|series|labels)$/.test(path)
          ? [await rig.send(server, `${path}?${text}`, [...params, ...foreign], 'POST', headers)]
          : []),
      ]) {
        expectNoTrace(reply, 'secret-b');
        expect({ status: reply.status, results: JSON.parse(reply.body).data?.result }).toEqual({
          status: plain.status,
          results: JSON.parse(plain.body).data?.result,
        });
      }
      const sent = rig.recorders[server].take();
      for (const one of sent) {
        expect(JSON.stringify(one.params)).not.toContain('secret');
        for (const header of headers) expect(one.header(header.split(':')[0] ?? '')).toBeUndefined();
      }
      await expectConfined(rig, sent);
      if (server === 'victoria') expectExtraFilters([...sentPlain, ...sent]);
    });
  });
});

describe('attack 11: paths that lead elsewhere', () => {
  it.each([
    '/api/v1/../../prom/api/v1/query',
    '/api/v1/query/../series',
    '/api/v1/%2e%2e/v1/query',
    '/api/v1/..%2fv1%2fquery',
    '/api/v1/%252e%252e/query',
    '/api/v1/query;x',
    '/api/v1/query%23',
    '/api/v1/query%3f',
    '/api/v1/Query',
    '/API/v1/query',
    '/api/v1/label/..%2f..%2fquery%3fquery=secret_b_total%23/values',
    '/api/v1/label/%2e%2e/values',
    '/api/v1/label/a%3fmatch[]=secret_b_total%23/values',
    '/api/v1/targets',
    '/api/v1/targets/metadata',
    '/api/v1/status/tsdb',
    '/api/v1/status/config',
    '/api/v1/read',
    '/api/v1/write',
    '/api/v1/export',
    '/api/v1/admin/tsdb/delete_series',
    '/api/v1/alertmanagers',
    '/graph',
    '/federate',
    '/metrics',
    '/prom/api/v1/query',
    '/prometheus/api/v1/query',
    '/select/0/prometheus/api/v1/query',
    '/../../../../other/secret/-/environments/prometheus/prometheus/api/v1/query',
  ])('%s is 404, and nothing is asked', async (path) => {
    for (const server of servers) {
      for (const carrier of ['GET', 'POST'] as const) {
        const reply = await rig.send(
          server,
          path,
          [
            ['query', 'up'],
            ['match[]', 'up'],
          ],
          carrier,
        );
        expect(reply.status).toBe(404);
        expectNoTrace(reply, path);
        expect(rig.recorders[server].take()).toEqual([]);
      }
    }
  });
  it('what is meant is found, and confined', async () => {
    for (const path of ['//api/v1/query/', '/api//v1///query'])
      await attemptSame(path, '/api/v1/query', at('up or secret_b_total'));
    await attemptSame('//api/v1/label/n%61mespace/values/', '/api/v1/label/namespace/values', window);
  });
  async function attemptSame(path: string, plain: string, params: Params): Promise<void> {
    const reply = await rig.send('prometheus', path, params);
    expectNoTrace(reply, asked(path, params));
    expect(comparable(reply)).toEqual(comparable(await rig.alone('prometheus', plain, params)));
    expect(await expectConfined(rig, rig.recorders.prometheus.take())).toBeGreaterThan(0);
  }
});

describe('attack 12: a server under a path of its own is filtered as any other', () => {
  it.each<[string, Params]>([
    ['/api/v1/rules', []],
    ['/api/v1/alerts', []],
    ['/api/v1/metadata', []],
    ['/api/v1/labels', window],
    ['/api/v1/label/__name__/values', []],
    ['/api/v1/query', at('up or secret_b_total')],
    [
      '/api/v1/query_exemplars',
      [
        ['query', 'live_requests_total'],
        ['start', '0'],
        ['end', '9999999999'],
      ],
    ],
    ['//api/v1/rules/', []],
    ['//api/v1//alerts', []],
  ])('%s', async (path, params) => {
    const reply = await rig.send('prefixed', path, params);
    expect(reply.status).toBe(200);
    expectNoTrace(reply, asked(path, params));
    const without = await rig.send('prometheus', path, params);
    expect(JSON.stringify(JSON.parse(reply.body).data).length).toBeGreaterThan(2);
    expect(Object.keys(JSON.parse(reply.body).data)).toEqual(Object.keys(JSON.parse(without.body).data));
  });
});

describe('attack 15: what was answered before', () => {
  const count = (body: string): string | undefined => JSON.parse(body).data?.result?.[0]?.value[1];

  it('environments that share a server do not share answers', async () => {
    const theirs = await rig.promgate.token('other/secret');
    const query = at('count(up) + 0');
    for (let round = 0; round < 3; round++) {
      expect(count((await rig.send('prometheus', '/api/v1/query', query)).body)).toBe('2');
      await expectConfined(rig, rig.recorders.prometheus.take());
      const other = await sendAs(
        rig.promgate,
        'other/secret:prometheus',
        [`Authorization: ${theirs.basic}`],
        '/api/v1/query',
        query,
        'GET',
      );
      expect(leaks(other.body)).toEqual([]);
      expect(count(other.body)).toBe('2');
      await expectConfined(rig, rig.recorders.prometheus.take(), foreignNamespace);
    }
    const wrong = await sendAs(
      rig.promgate,
      'other/secret:prometheus',
      [`Authorization: ${rig.token.basic}`],
      '/api/v1/query',
      query,
      'GET',
    );
    expect(wrong.status).toBe(404);
  });
  it('a revoked token gets nothing more', async () => {
    const token = await rig.promgate.token('acme/shop');
    const query = at('count(up) + 1');
    const send = () =>
      sendAs(rig.promgate, 'acme/shop:prometheus', [`Authorization: ${token.basic}`], '/api/v1/query', query, 'GET');
    expect(count((await send()).body)).toBe('3');
    const database = await openDatabase(rig.promgate.settings);
    await revokeToken(database, token.id, tester);
    await database.close();
    await eventually(async () => (await send()).status === 401);
    for (let round = 0; round < 3; round++) expect((await send()).status).toBe(401);
  });
  it('another scope holds at once, for questions that were asked before too', async () => {
    const query = at('max(up) > 1e12');
    const found = async (): Promise<boolean> => count((await rig.send('prometheus', '/api/v1/query', query)).body) !== undefined;
    expect(await found()).toBe(false);
    await rig.promgate.apply(rig.resources(foreignNamespace));
    await eventually(found);
    await rig.promgate.apply(rig.resources());
    await eventually(async () => !(await found()));
    rig.recorders.prometheus.take();
    for (let round = 0; round < 3; round++) expect(await found()).toBe(false);
    expect(await expectConfined(rig, rig.recorders.prometheus.take())).toBe(3);
  });
});
