import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { expect, it } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { PromgateError } from '../errors.ts';
import { databaseTrouble } from './trouble.ts';

const thrownBy = async (action: () => unknown): Promise<unknown> => {
  try {
    return await action();
  } catch (error) {
    return error;
  }
};

it('a database that cannot be used is told from all else', async () => {
  const dir = await tempDir('trouble');
  const file = `${dir.path}/x.db`;
  const [one, other] = [new DatabaseSync(file), new DatabaseSync(file, { timeout: 0 })];
  one.exec('create table t (x); begin immediate');
  const client = new pg.Client({ host: '127.0.0.1', port: 1 });
  for (const thrown of [
    await thrownBy(() => other.exec('begin immediate')),
    await thrownBy(() => client.connect()),
    Object.assign(new Error('terminating connection due to administrator command'), { code: '57P01' }),
    Object.assign(new Error('query_wait_timeout'), { code: '08P01', severity: 'FATAL' }),
    new Error('timeout exceeded when trying to connect'),
  ]) {
    expect(databaseTrouble(thrown)).toMatchObject({ code: 'unavailable', cause: thrown, headers: { 'Retry-After': '5' } });
  }
  for (const thrown of [
    await thrownBy(() => other.exec('select nothing from nowhere')),
    Object.assign(new Error('duplicate key'), { code: '23505' }),
    Object.assign(new Error('bind message has 1 parameter formats but 0 parameters'), { code: '08P01', severity: 'ERROR' }),
    new PromgateError('timeout', 'timeout expired'),
    new TypeError('x is not a function'),
    'ECONNREFUSED',
  ]) {
    expect(databaseTrouble(thrown)).toBeNull();
  }
  one.close();
  other.close();
  await dir.remove();
});
