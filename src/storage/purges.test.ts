import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { changesAfter, latestSeq } from './changes.ts';
import { allPurges, bumpPurge, forgetPurges, purgesByIds } from './purges.ts';
import type { Trx } from './schema.ts';

describe.each(dialects)('purges on %s', (dialect) => {
  let home: TestDatabase;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
  });
  afterEach(() => home.remove());

  const write = <T>(fn: (trx: Trx) => Promise<T>) => home.database.write(fn);
  const bump = (subject: string, now: number) => write((trx) => bumpPurge(trx, subject, now));
  const all = () => home.database.read(allPurges);
  const epochs = async () => Object.fromEntries((await all()).map(({ subject, epoch }) => [subject, epoch]));

  it('have one row for each subject, whose epoch is the time, and more than before whatever the clock says', async () => {
    await bump('all', 1_000);
    await bump('server 1', 1_500);
    await bump('all', 2_000);
    expect(await epochs()).toEqual({ all: 2_000, 'server 1': 1_500 });
    await bump('all', 2_000);
    await bump('server 1', 7);
    expect(await epochs()).toEqual({ all: 2_001, 'server 1': 1_501 });
  });

  it('are found by their ids', async () => {
    await bump('a', 1);
    await bump('b', 1);
    const rows = await all();
    expect(await home.database.read((trx) => purgesByIds(trx, [rows[1]?.id ?? 0, 999]))).toEqual([rows[1]]);
  });

  it('of one subject never get lost between writers', async () => {
    await Promise.all(Array.from({ length: 8 }, () => bump('all', 1)));
    expect(await epochs()).toEqual({ all: 8 });
  });

  it('are forgotten by the beginnings of their names, in which no character means another', async () => {
    for (const subject of ['policy 1 a_c x', 'policy 1 abc x', 'policy 1 abc y', 'policy 11 a_c x', 'server 1', 'all']) {
      await bump(subject, 1);
    }
    await write((trx) => forgetPurges(trx, 'policy 1 ', 'policy 1 a_c '));
    expect(Object.keys(await epochs()).sort()).toEqual(['all', 'policy 1 a_c x', 'policy 11 a_c x', 'server 1']);
    await write((trx) => forgetPurges(trx, '', 'all'));
    expect(Object.keys(await epochs())).toEqual(['all']);
  });

  it('are in the change log: new, again, and forgotten', async () => {
    await bump('server 1', 1);
    const [row] = await all();
    await bump('server 1', 2);
    const before = await home.database.read(latestSeq);
    await write((trx) => forgetPurges(trx, 'server', 'x'));
    const changes = await home.database.read((trx) => changesAfter(trx, 0, 10));
    expect(changes.map(({ subject, row_id }) => [subject, row_id])).toEqual(Array(3).fill(['cache_purges', row?.id]));
    expect(changes.at(-1)?.seq).toBeGreaterThan(before);
  });
});
