import type { DatabaseDialect } from '../database.ts';
import type { Trx } from '../schema.ts';
import { createDirectory } from './001-directory.ts';
import { createCache } from './002-cache.ts';
import { createPeople } from './003-people.ts';

export interface Migration {
  readonly name: string;
  up(trx: Trx, dialect: DatabaseDialect): Promise<void>;
}

/** All migrations in their order. Once released, neither an entry nor its file changes; what is to be different comes as a new one. */
export const migrations: readonly Migration[] = [
  { name: '001-directory', up: createDirectory },
  { name: '002-cache', up: createCache },
  { name: '003-people', up: createPeople },
];
