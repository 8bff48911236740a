import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { readEvents } from '../storage/audit.ts';
import type { Database } from '../storage/database.ts';
import { type AuditEvent, commandLineActor, theInstance } from './audit.ts';
import { createLog } from './log.ts';
import { createRefusals } from './refusals.ts';

const actor = { kind: 'user', id: 7, name: 'anna', address: '10.0.0.1', requestId: 'r1' } as const;
const event: AuditEvent = { actor, action: 'refused', object: theInstance, detail: { permission: 'users.read' } };

describe.each(dialects)('refusals on %s', (dialect) => {
  let home: TestDatabase;
  let lines: string[];
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    lines = [];
  });
  afterEach(async () => {
    vi.useRealTimers();
    await home.remove();
  });

  const start = (database: Pick<Database, 'write'> = home.database) =>
    createRefusals(
      database,
      createLog('warn', (line) => lines.push(line)),
    );
  const entries = () => home.database.read((trx) => readEvents(trx, { visible: 'all', limit: 2_000 }));

  it('that are alike become one entry with their number, and others do not join it', async () => {
    const refusals = start();
    for (let i = 0; i < 3; i++) refusals.note({ ...event, actor: { ...actor, requestId: `r${i}` } });
    refusals.note({ ...event, detail: { permission: 'users.write' } });
    refusals.note({ ...event, action: 'sign_in_refused' });
    refusals.note({ ...event, actor: { ...actor, id: 8 } });
    refusals.note({ ...event, object: { ...theInstance, kind: 'group', id: 1 } });
    await refusals.close();
    const all = await entries();
    expect(all.map(({ count }) => count).sort()).toEqual([1, 1, 1, 1, 3]);
    expect(all.find(({ count }) => count === 3)).toMatchObject({
      actor: { kind: 'user', id: 7, name: 'anna' },
      action: 'refused',
      address: '10.0.0.1',
      request_id: 'r0',
      detail: { permission: 'users.read' },
    });
    expect(lines).toEqual([]);
  });

  it('of nobody known are told apart by where they come from, of IPv6 by the /64 that one client has', async () => {
    const refusals = start();
    const nobody = { ...commandLineActor('anna'), kind: 'anonymous' } as const;
    const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.1', '2001:db8::1', '2001:db8::2:1', '2001:db8:0:1::1'];
    for (const address of addresses) refusals.note({ ...event, actor: { ...nobody, address } });
    await refusals.close();
    expect((await entries()).map(({ address, count }) => [address, count]).sort()).toEqual([
      ['10.0.0.1', 2],
      ['10.0.0.2', 1],
      ['2001:db8:0:1::1', 1],
      ['2001:db8::1', 2],
    ]);
  });

  it('of more than a thousand kinds at once are counted together', async () => {
    const refusals = start();
    for (let id = 0; id < 1_200; id++) refusals.note({ ...event, actor: { ...actor, id } });
    refusals.note({ ...event, actor: { ...actor, id: 5 } });
    await refusals.close();
    const all = await entries();
    expect(all).toHaveLength(1_001);
    expect(all.filter(({ detail }) => detail.more === true).map(({ actor, count }) => [actor.kind, count])).toEqual([
      ['system', 200],
    ]);
    expect(all.find(({ actor }) => actor.id === 5)?.count).toBe(2);
  });

  it('are written every five seconds, each time as entries of their own', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const refusals = start();
    for (const expected of [1, 2]) {
      refusals.note(event);
      vi.advanceTimersByTime(4_999);
      expect(await entries()).toHaveLength(expected - 1);
      vi.advanceTimersByTime(1);
      // `expect.poll` would move the clock on while it waits.
      for (let looks = 0; looks < 500 && (await entries()).length < expected; looks++) await delay(10);
      expect(await entries()).toHaveLength(expected);
    }
    await refusals.close();
    expect(await entries()).toHaveLength(2);
  });

  it('that cannot be written are told to the log and go no further', async () => {
    const refusals = start({ write: () => Promise.reject(new Error('disk full')) });
    refusals.note(event);
    refusals.note(event);
    await refusals.close();
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ level: 'warn', refusals: 2, error: 'disk full' }]);
  });
});
