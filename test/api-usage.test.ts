import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { addUsage, usageDay } from '../src/storage/usage.ts';
import { type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

describe.each(dialects)('usage on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let maintainer: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({
      database,
      resources: 'projects: [{ path: acme/shop, environments: [{ name: production }] }]',
    });
    api = await apiOf(promgate);
    maintainer = await api.user();
    await maintainer.join('acme/shop', 'maintainer');
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  afterEach(() => vi.useRealTimers());

  test('of a token and of an endpoint: each of the last 30 days and their sum', async () => {
    const { id } = (await maintainer.post('/tokens', { of: 'acme/shop:production', name: 'grafana' })).body;
    // The day does not end meanwhile; timers and the network are real.
    vi.useFakeTimers({ toFake: ['Date'] });
    const today = usageDay(Date.now());
    const environment = await api.database.read((trx) => trx.selectFrom('environments').select('id').executeTakeFirstOrThrow());
    const of = { level: 'environment', target_id: environment.id } as const;
    const token = { caller_kind: 'token', caller_id: id } as const;
    await api.database.write((trx) =>
      addUsage(trx, [
        { day: today, ...token, ...of, requests: 10, refusals: 1, bytes: 5_000_000_000, upstream_ms: 1500 },
        { day: today - 2, ...token, ...of, requests: 5, refusals: 0, bytes: 1000, upstream_ms: 250 },
        { day: today - 30, ...token, ...of, requests: 1000, refusals: 0, bytes: 1, upstream_ms: 1 },
        { day: today, caller_kind: 'user', caller_id: maintainer.id, ...of, requests: 3, refusals: 3, bytes: 30, upstream_ms: 0 },
      ]),
    );
    const used = (await maintainer.get(`/tokens/${id}/usage`)).body;
    expect(used.last_used_at).toBeNull();
    expect(used.days).toHaveLength(30);
    const day = new Date(today * 86_400_000).toISOString().slice(0, 10);
    expect(used.days.at(-1)).toEqual({ day, requests: 10, refusals: 1, bytes: 5_000_000_000, upstream_seconds: 1.5 });
    expect(used.days.at(-2)).toMatchObject({ requests: 0, refusals: 0, bytes: 0, upstream_seconds: 0 });
    expect(used.total).toEqual({ requests: 15, refusals: 1, bytes: 5_000_001_000, upstream_seconds: 1.75 });
    const all = (await maintainer.get('/usage?of=acme/shop:production')).body;
    expect(all.total).toEqual({ requests: 18, refusals: 4, bytes: 5_000_001_030, upstream_seconds: 1.75 });
    expect((await maintainer.get('/usage?of=acme/shop')).body.total.requests).toBe(0);
  });

  test('is for maintainers alone', async () => {
    const developer = await api.user();
    await developer.join('acme/shop', 'developer');
    expect((await developer.get('/usage?of=acme/shop')).status).toBe(404);
    expect((await maintainer.get('/usage?of=instance')).status).toBe(404);
    expect((await (await maintainer.personalToken('metrics:read')).get('/usage?of=acme/shop')).status).toBe(403);
  });
});
