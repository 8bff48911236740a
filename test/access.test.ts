import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ask } from './support/ask.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import { answers, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

let upstream: StrictUpstream;
let promgate: TestPromgate;

const resources = (url: string) =>
  JSON.stringify({
    groups: [
      { path: 'acme', servers: [{ name: 'group', url }] },
      { path: 'acme/platform', servers: [{ name: 'subgroup', url }] },
      { path: 'acme-2', servers: [{ name: 'other', url }] },
    ],
    projects: ['acme/shop', 'acme/shop-2', 'acme/platform/api', 'acme-2/shop'].map((path) => ({
      path,
      environments: [{ name: 'production' }, { name: 'review/login' }],
      servers: [{ name: 'own', url }],
    })),
  });

beforeAll(async () => {
  upstream = await startStrictUpstream(answers());
  promgate = await startTestPromgate({ resources: resources(upstream.url), settings: { trustedProxies: ['127.0.0.0/8'] } });
});

afterAll(async () => {
  await promgate?.close();
  await upstream?.stop();
});

async function status(target: string, authorization: string, headers: Record<string, string> = {}): Promise<number> {
  const url = `${promgate.endpoint(target)}/api/v1/query?query=up`;
  return (await ask(url, { headers: { authorization, ...headers } })).status;
}

const targets = [
  'groups/acme',
  'groups/acme/platform',
  'groups/acme-2',
  ...['acme/shop', 'acme/shop-2', 'acme/platform/api', 'acme-2/shop'].flatMap((path) => [
    path,
    `${path}:production`,
    `${path}:review/login`,
  ]),
];

describe('a token opens what it belongs to and all below it, and nothing else', () => {
  it.each([
    ['acme/shop:production', (target: string) => target === 'acme/shop:production'],
    ['acme/shop', (target: string) => target === 'acme/shop' || target.startsWith('acme/shop:')],
    ['groups/acme/platform', (target: string) => target.replace('groups/', '').startsWith('acme/platform')],
    ['groups/acme', (target: string) => /^(groups\/)?acme(\/|$)/.test(target)],
    ['groups/acme-2', (target: string) => /^(groups\/)?acme-2(\/|$)/.test(target)],
  ])('%s', async (target, opens) => {
    const token = await promgate.token(target);
    for (const authorization of [token.basic, `Bearer ${token.token}`]) {
      const open: string[] = [];
      for (const each of targets) {
        const answer = await status(each, authorization);
        if (answer === 200) open.push(each);
        else expect(answer).toBe(404);
      }
      expect(open).toEqual(targets.filter(opens));
    }
  });
});

describe('the tenant comes from the token alone', () => {
  it.each([
    ['X-Scope-OrgID', 'acme-2'],
    ['X-Promgate-Target', 'acme/shop-2:production'],
    ['X-Original-URL', '/acme/shop/-/environments/production/prometheus/api/v1/query'],
    ['X-Rewrite-URL', '/acme/shop/-/environments/production/prometheus/api/v1/query'],
    ['X-HTTP-Method-Override', 'POST'],
    ['X-Forwarded-Prefix', '/acme/shop'],
    ['X-Forwarded-User', 'admin'],
    ['X-Remote-User', 'admin'],
    ['Cookie', 'session=admin'],
    ['PRIVATE-TOKEN', 'x'],
  ])('%s opens nothing', async (name, value) => {
    const token = await promgate.token('acme/shop:production');
    expect(await status('acme/shop-2:production', token.basic, { [name]: value })).toBe(404);
    expect(await status('acme/shop:production', '', { [name]: value })).toBe(401);
  });

  it('nor does a token in the URL, in a cookie or in another header', async () => {
    const { token } = await promgate.token('acme/shop:production');
    const url = `${promgate.endpoint('acme/shop:production')}/api/v1/query?query=up`;
    expect((await ask(`${url}&token=${token}&access_token=${token}&private_token=${token}`)).status).toBe(401);
    const headers = { cookie: `token=${token}`, 'proxy-authorization': `Bearer ${token}`, 'private-token': token };
    expect((await ask(url, { headers })).status).toBe(401);
  });
});

describe('a username', () => {
  it('may be chosen, and must match', async () => {
    const token = await promgate.token('acme/shop', { username: 'grafana.main' });
    const basic = (name: string) => `Basic ${Buffer.from(`${name}:${token.token}`).toString('base64')}`;
    expect(await status('acme/shop', basic('grafana.main'))).toBe(200);
    for (const name of ['grafana.mai', 'grafana.main ', 'Grafana.main', `token-${token.id}`, '', 'grafana.main:'])
      expect(await status('acme/shop', basic(name))).toBe(401);
  });
  it('of one token does not go with the secret of another', async () => {
    const one = await promgate.token('acme/shop');
    const two = await promgate.token('acme/shop');
    const mixed = Buffer.from(`${one.username}:${two.token}`).toString('base64');
    expect(await status('acme/shop', `Basic ${mixed}`)).toBe(401);
  });
});

describe('time', () => {
  afterEach(() => vi.useRealTimers());

  it('ends a token at its expiry without anybody doing anything', async () => {
    const expiresAt = Date.now() + 3_600_000;
    const token = await promgate.token('acme/shop', { expiresAt });
    // Time moves when the test says so; timers and the network are real.
    vi.useFakeTimers({ toFake: ['Date'] });
    vi.setSystemTime(expiresAt - 1);
    expect(await status('acme/shop', token.basic)).toBe(200);
    vi.setSystemTime(expiresAt);
    expect(await status('acme/shop', token.basic)).toBe(401);
  });
});

describe('networks', () => {
  const from = (address: string, token: TestToken) => status('acme/shop', token.basic, { 'x-forwarded-for': address });

  it('the connection’s own address counts where no proxy speaks', async () => {
    const local = await promgate.token('acme/shop', { allowedNetworks: ['127.0.0.1/32'] });
    const remote = await promgate.token('acme/shop', { allowedNetworks: ['10.0.0.0/8'] });
    expect(await status('acme/shop', local.basic)).toBe(200);
    expect(await status('acme/shop', remote.basic)).toBe(401);
  });

  it('behind a trusted proxy the nearest address counts that is not a trusted proxy’s own', async () => {
    const token = await promgate.token('acme/shop', { allowedNetworks: ['10.1.0.0/16', '2001:db8::/32'] });
    const good = ['10.1.2.3', ' 10.1.2.3 ', '192.0.2.1, 10.1.2.3', '10.1.2.3, 127.0.0.5', '2001:db8::7', '::ffff:10.1.2.3'];
    const bad = [
      '10.2.0.1',
      '10.1.2.3, 192.0.2.1',
      '',
      'unknown',
      '10.1.2.3x',
      '2001:db9::1',
      '10.1.2.3, ',
      '10.1.2.3:80',
      '127.0.0.1',
    ];
    for (const address of good) expect([address, await from(address, token)]).toEqual([address, 200]);
    for (const address of bad) expect([address, await from(address, token)]).toEqual([address, 401]);
  });

  it('without trusted proxies nobody’s header is believed', async () => {
    const plain = await startTestPromgate({ resources: resources(upstream.url) });
    try {
      const token = await plain.token('acme/shop', { allowedNetworks: ['10.0.0.0/8'] });
      const url = `${plain.endpoint('acme/shop')}/api/v1/query?query=up`;
      for (const name of ['x-forwarded-for', 'x-real-ip', 'forwarded', 'x-client-ip', 'cf-connecting-ip']) {
        const value = name === 'forwarded' ? 'for=10.0.0.1' : '10.0.0.1';
        expect((await ask(url, { headers: { authorization: token.basic, [name]: value } })).status).toBe(401);
      }
    } finally {
      await plain.close();
    }
  });
});

describe('which server answers', () => {
  it('a project’s and a group’s endpoint ask their own server only', async () => {
    const own = JSON.stringify({
      groups: [{ path: 'lone', servers: [{ name: 'group', url: upstream.url }] }],
      projects: [
        {
          path: 'lone/scoped',
          environments: [{ name: 'production' }],
          servers: [{ name: 'scoped', url: upstream.url, environment_scope: 'production' }],
        },
        { path: 'lone/empty', environments: [{ name: 'production' }] },
      ],
    });
    await promgate.apply(own);
    const token = await promgate.token('groups/lone');
    const answer = async (target: string) => ({ target, status: await status(target, token.basic) });
    expect(await answer('groups/lone')).toMatchObject({ status: 200 });
    expect(await answer('lone/scoped')).toMatchObject({ status: 503 });
    expect(await answer('lone/scoped:production')).toMatchObject({ status: 200 });
    expect(await answer('lone/empty')).toMatchObject({ status: 503 });
    expect(await answer('lone/empty:production')).toMatchObject({ status: 200 });
  });
});

describe('a server with labels to enforce', () => {
  it('is asked nothing at all, on no endpoint and with no method, where one has no value', async () => {
    const guarded = await startStrictUpstream(answers());
    const server = { name: 'guarded', url: guarded.url, enforce: { namespace: '{{kube_namespace}}' }, expose: [] };
    const environments = [{ name: 'production' }];
    await promgate.apply(JSON.stringify({ projects: [{ path: 'acme/guarded', environments, servers: [server] }] }));
    const token = await promgate.token('acme/guarded');
    for (const target of ['acme/guarded:production', 'acme/guarded']) {
      for (const path of [
        ...[
          'query?query=up',
          'query?query=1',
          'query_range?query=up&start=1&end=2&step=1',
          'query_exemplars?query=up&start=1&end=2',
        ],
        ...['series?match[]=up', 'labels', 'label/job/values', 'metadata', 'rules', 'alerts', 'status/buildinfo'],
        ...['format_query?query=up', 'parse_query?query=up', 'targets', 'status/tsdb'],
      ]) {
        for (const method of ['GET', 'POST']) {
          const answer = await ask(`${promgate.endpoint(target)}/api/v1/${path}`, {
            method,
            headers: { authorization: token.basic },
          });
          expect(answer.status).toBeGreaterThanOrEqual(400);
          expect(JSON.parse(answer.body).status).toBe('error');
        }
      }
      const federate = await ask(`${promgate.endpoint(target)}/federate?match[]=up`, { headers: { authorization: token.basic } });
      expect(federate.status).toBeGreaterThanOrEqual(400);
    }
    expect(guarded.connections()).toBe(0);
    expect(guarded.requests).toEqual([]);
    await guarded.stop();
  });
});
