import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tester } from '../../test/support/actor.ts';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { applyResources } from '../directory/apply.ts';
import { openKeyring } from '../storage/crypto.ts';
import { recordLastUse } from '../storage/last-use.ts';
import { findToken } from '../storage/tokens.ts';
import { listTokens } from './token-list.ts';
import { hashToken, isTokenText } from './token-text.ts';
import { createToken, type NewToken, revokeToken, rotateToken } from './tokens.ts';

const production = { level: 'environment', path: 'acme/shop:production' } as const;
const project = { level: 'project', path: 'acme/shop' } as const;
const group = { level: 'group', path: 'acme' } as const;
const resources = 'projects: [{ path: acme/shop, environments: [{ name: production }, { name: review/login }] }]';
const now = 1_800_000_000_000;

describe.each(dialects)('tokens on %s', (dialect) => {
  let home: TestDatabase;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    const keyring = openKeyring({ dataDir: home.settings.dataDir, secretKey: Buffer.alloc(32) });
    await applyResources(home.database, keyring, resources, {
      fileName: 'r.yml',
      dryRun: false,
      prune: false,
      env: {},
      actor: tester,
    });
  });
  afterEach(() => home.remove());

  const row = (id: number) => home.database.read((trx) => findToken(trx, id));
  const create = (more: Partial<NewToken> = {}) =>
    createToken(home.database, production, { name: 'grafana', ...more }, tester, now);

  it('are issued for an environment, a project or a group, with a username by their id', async () => {
    const issued = [];
    for (const target of [production, project, group])
      issued.push(await createToken(home.database, target, { name: 'x' }, tester));
    expect(issued.map(({ username, id }) => username === `token-${id}`)).toEqual([true, true, true]);
    expect(issued.map(({ target, endpointPath }) => [target, endpointPath])).toEqual([
      [production, '/acme/shop/-/environments/production/prometheus'],
      [project, '/acme/shop/-/prometheus'],
      [group, '/groups/acme/-/prometheus'],
    ]);
    expect(new Set(issued.map(({ token }) => token)).size).toBe(3);
  });

  it('may be asked for by the slug of the environment', async () => {
    const { target } = await createToken(
      home.database,
      { level: 'environment', path: 'acme/shop:review-login-py9mn2' },
      { name: 'x' },
      tester,
    );
    expect(target.path).toBe('acme/shop:review/login');
  });

  it('leave nothing but their hash in the database', async () => {
    const { id, token } = await create();
    expect(isTokenText(token)).toBe(true);
    const stored = await row(id);
    expect(stored?.hash).toBe(hashToken(token));
    expect(JSON.stringify(stored)).not.toContain(token.slice(9));
  });

  it('keep their expiry, username and networks, the latter in canonical form', async () => {
    const networks = ['10.0.0.0/8', '2001:DB8::/32', '192.0.2.7', '10.0.0.0/8'];
    const { id } = await create({ username: 'grafana-prod', expiresAt: now + 1, allowedNetworks: networks });
    expect(await listTokens(home.database, production, now)).toEqual([
      {
        id,
        name: 'grafana',
        username: 'grafana-prod',
        target: production,
        state: 'active',
        allowedNetworks: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7/32'],
        createdAt: now,
        expiresAt: now + 1,
        revokedAt: null,
        previousUntil: null,
        lastUsedAt: null,
      },
    ]);
  });

  it.each([
    [{ name: ' ' }, 'name'],
    [{ name: 'a\nb' }, 'control characters'],
    [{ username: 'a:b' }, 'username'],
    [{ username: '' }, 'username'],
    [{ username: 'token-7' }, 'token-7'],
    [{ expiresAt: now }, 'future'],
    [{ expiresAt: Number.NaN }, 'no time'],
    [{ allowedNetworks: ['10.0.0.1/8'] }, '10.0.0.0/8'],
    [{ allowedNetworks: ['home'] }, 'not a network'],
  ])('are refused with %j', async (more, reason) => {
    await expect(create(more)).rejects.toMatchObject({ code: 'bad_data', message: expect.stringContaining(reason) });
    expect(await listTokens(home.database, null)).toEqual([]);
  });

  it.each([
    [{ level: 'environment', path: 'acme/shop' } as const, 'bad_data', 'acme/shop:production'],
    [{ level: 'environment', path: 'acme/shop:staging' } as const, 'not_found', '"staging"'],
    [{ level: 'environment', path: 'acme/nope:production' } as const, 'not_found', 'acme/nope'],
    [{ level: 'project', path: 'acme' } as const, 'not_found', 'There is no project acme'],
    [{ level: 'group', path: 'acme/shop' } as const, 'not_found', 'There is no group acme/shop'],
  ])('cannot be made for %j', async (target, code, reason) => {
    const made = createToken(home.database, target, { name: 'x' }, tester);
    await expect(made).rejects.toMatchObject({ code, message: expect.stringContaining(reason) });
  });

  it('that are rotated get a new secret, and keep the old one for the grace period', async () => {
    const first = await create({ expiresAt: now + 1e9 });
    const second = await rotateToken(home.database, first.id, 60_000, tester, now);
    expect(second).toEqual({ ...first, token: second.token });
    expect(second.token).not.toBe(first.token);
    expect(await row(first.id)).toMatchObject({
      hash: hashToken(second.token),
      previous_hash: hashToken(first.token),
      previous_expires_at: now + 60_000,
    });
    const [entry] = await listTokens(home.database, production, now);
    expect(entry?.previousUntil).toBe(now + 60_000);
  });

  it('that are rotated without grace lose the old secret at once, also one whose grace still ran', async () => {
    const { id } = await create();
    await rotateToken(home.database, id, 60_000, tester, now);
    await rotateToken(home.database, id, 0, tester, now);
    expect(await row(id)).toMatchObject({ previous_hash: null, previous_expires_at: null });
  });

  it('cannot be rotated when they are revoked, expired or not there, nor with a grace below 0', async () => {
    const [revoked, expired, live] = [await create(), await create({ expiresAt: now + 1 }), await create()];
    await revokeToken(home.database, revoked.id, tester);
    await expect(rotateToken(home.database, revoked.id, 0, tester)).rejects.toThrow('revoked');
    await expect(rotateToken(home.database, expired.id, 0, tester, now + 1)).rejects.toThrow('expired');
    await expect(rotateToken(home.database, 999, 0, tester)).rejects.toMatchObject({ code: 'not_found' });
    await expect(rotateToken(home.database, live.id, -1, tester)).rejects.toMatchObject({ code: 'bad_data' });
  });

  it('that are revoked stay so, with the time of the first revocation', async () => {
    const { id } = await create();
    await revokeToken(home.database, id, tester, now + 1);
    await revokeToken(home.database, id, tester, now + 2);
    expect(await listTokens(home.database, null)).toMatchObject([{ state: 'revoked', revokedAt: now + 1 }]);
    await expect(revokeToken(home.database, 999, tester)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('are listed by id with what they open, their state and last use, all or those of one target', async () => {
    const targets = [group, production, project];
    const ids: number[] = [];
    for (const target of targets)
      ids.push((await createToken(home.database, target, { name: 'x', expiresAt: now + 1 }, tester, now)).id);
    await home.database.write((trx) => recordLastUse(trx, 'tokens', new Map([[ids[1] ?? 0, now]])));
    const all = await listTokens(home.database, null, now + 1);
    expect(all.map(({ id, target, state, lastUsedAt }) => [id, target, state, lastUsedAt])).toEqual([
      [ids[0], group, 'expired', null],
      [ids[1], production, 'expired', now],
      [ids[2], project, 'expired', null],
    ]);
    for (const [index, target] of targets.entries()) {
      expect((await listTokens(home.database, target)).map(({ id }) => id)).toEqual([ids[index]]);
    }
  });
});
