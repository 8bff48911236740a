import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

interface Event {
  readonly id: number;
  readonly time: string;
  readonly action: string;
  readonly actor: { readonly kind: string; readonly id: number | null; readonly name: string };
  readonly object: { readonly kind: string; readonly id: number; readonly name: string };
  readonly request_id: string | null;
}

describe.each(dialects)('the audit log on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let admin: ApiUser;
  let owner: ApiUser;
  let outsider: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({
      database,
      resources: `
groups: [{ path: acme }, { path: other }]
projects: [{ path: acme/shop, environments: [{ name: production }] }, { path: acme/web }, { path: other/secret }]
`,
    });
    api = await apiOf(promgate);
    admin = await api.user({ admin: true });
    owner = await api.user();
    await owner.join('acme', 'owner');
    outsider = await api.user();
    await outsider.join('other/secret', 'owner');
    for (const of of ['acme', 'acme/shop', 'acme/shop:production', 'acme/web']) await owner.post('/tokens', { of, name: 'a' });
    await outsider.post('/tokens', { of: 'other/secret', name: 'b' });
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  const events = async (by: ApiUser, query: string): Promise<Event[]> => {
    const { status, body } = await by.get(`/audit_events?${query}`);
    expect(status).toBe(200);
    return body.items;
  };
  const names = (list: readonly Event[]) => list.map(({ object }) => object.name);

  test('owners read of their part alone, administrators all', async () => {
    const tokens = 'action=created&object=token';
    expect(names(await events(owner, `of=acme&${tokens}`))).toEqual([
      'a@acme/web',
      'a@acme/shop:production',
      'a@acme/shop',
      'a@acme',
    ]);
    expect(names(await events(owner, `of=acme/shop&${tokens}`))).toEqual(['a@acme/shop:production', 'a@acme/shop']);
    expect(names(await events(outsider, `of=other/secret&${tokens}`))).toEqual(['b@other/secret']);
    expect(names(await events(admin, tokens))).toHaveLength(5);
    const unknown = await owner.get('/audit_events?of=nowhere');
    for (const of of ['other', 'other/secret', 'instance', 'acme/shop:production']) {
      expect((await owner.get(`/audit_events?of=${of}`)).body).toEqual(unknown.body);
      expect((await owner.get(`/audit_events/export?of=${of}`)).body).toEqual(unknown.body);
    }
    expect((await owner.get('/audit_events')).status).toBe(404);
    const maintainer = await api.user();
    await maintainer.join('acme', 'maintainer');
    expect((await maintainer.get('/audit_events?of=acme')).status).toBe(404);
  });

  test('is read and exported by the lines of docs/audit.md', async () => {
    const gone = await owner.post('/environments', { project: 'acme/shop', name: 'gone' });
    expect((await owner.delete(`/environments/${gone.body.id}`, { ifMatch: '*' })).status).toBe(204);
    const { text: key } = await owner.personalToken('audit:read');
    const page = await readFile(join(import.meta.dirname, '../docs/audit.md'), 'utf8');
    const lines = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, line = '']) => line);
    const answers = lines.map((line) => {
      const script = line.replace('https://promgate.example', promgate.url).replace('>> audit.jsonl', '');
      return promisify(execFile)('bash', ['-euc', script], { env: { PATH: process.env.PATH, key } });
    });
    const [read, exported] = (await Promise.all(answers)).map(({ stdout }) => stdout);
    expect(JSON.parse(read ?? '').items).toMatchObject([
      { action: 'removed', object: { kind: 'environment', name: 'acme/shop:gone' } },
    ]);
    const all = (exported ?? '')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(all.at(-1)).toMatchObject({ action: 'removed', object: { name: 'acme/shop:gone' } });
  });

  test('an event says who, from where, with which request, what and on what', async () => {
    const made = await owner.post('/tokens', { of: 'acme/web', name: 'told' }, { headers: { 'x-request-id': 'asked-4711' } });
    const [event] = await events(owner, 'of=acme/web&limit=1');
    expect(event).toEqual({
      id: event?.id,
      time: expect.stringMatching(/^20\d\d-.*Z$/),
      actor: { kind: 'user', id: owner.id, name: owner.username },
      action: 'created',
      object: { kind: 'token', id: made.body.id, name: 'told@acme/web' },
      address: '127.0.0.1',
      request_id: made.headers.get('x-request-id'),
      count: 1,
      detail: { username: made.body.username, expires_at: null, allowed_networks: [] },
    });
  });

  test('comes page by page, newest first, each event once', async () => {
    const whole = await events(admin, 'limit=200');
    const seen: Event[] = [];
    for (let after: number | null = 0; after !== null; ) {
      const { body } = await admin.get(`/audit_events?limit=3&after=${after}`);
      seen.push(...body.items);
      after = body.next;
    }
    expect(seen).toEqual(whole);
    expect(seen.map(({ id }) => id)).toEqual(seen.map(({ id }) => id).sort((a, b) => b - a));
  });

  test('is filtered by action, actor, object and time', async () => {
    const all = await events(admin, 'limit=200');
    const pick = (fits: (event: Event) => boolean) => all.filter(fits);
    expect(await events(admin, `limit=200&actor=user:${owner.id}`)).toEqual(pick(({ actor }) => actor.id === owner.id));
    expect(await events(admin, 'limit=200&actor=user')).toEqual(pick(({ actor }) => actor.kind === 'user'));
    expect(await events(admin, 'limit=200&object=group')).toEqual(pick(({ object }) => object.kind === 'group'));
    const [token] = pick(({ object }) => object.kind === 'token');
    expect(await events(admin, `object=token:${token?.object.id}`)).toEqual([token]);
    const middle = all[Math.floor(all.length / 2)]?.time ?? '';
    expect(await events(admin, `limit=200&since=${middle}`)).toEqual(pick(({ time }) => time >= middle));
    expect(await events(admin, `limit=200&until=${middle}`)).toEqual(pick(({ time }) => time < middle));
    for (const wrong of ['action=stolen', 'actor=owner', 'actor=user:x', 'object=cat', 'since=yesterday', 'who=me']) {
      expect((await admin.get(`/audit_events?${wrong}`)).status).toBe(400);
    }
  });

  test('is exported as JSON lines, oldest first, with the same events and filters', async () => {
    for (const [by, query] of [
      [admin, ''],
      [owner, 'of=acme'],
      [owner, 'of=acme/shop&object=token'],
    ] as const) {
      const listed = await events(by, `limit=200&${query}`);
      expect(listed.length).toBeGreaterThan(0);
      const answer = await fetch(`${promgate.url}/-/api/v1/audit_events/export?${query}`, { headers: { cookie: by.cookie } });
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
      const lines = (await answer.text()).split('\n');
      expect(lines.pop()).toBe('');
      expect(lines.map((line) => JSON.parse(line))).toEqual(listed.toReversed());
    }
    const none = await fetch(`${promgate.url}/-/api/v1/audit_events/export?since=2099-01-01T00:00:00Z`, {
      headers: { cookie: admin.cookie },
    });
    expect([none.status, await none.text()]).toEqual([200, '']);
  });
});
