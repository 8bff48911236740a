/** Kysely over PostgreSQL. */
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Schema } from './schema.ts';

/** Type `int8`: ids, times and counts, all below 2^53; the driver's default is a text. */
const int8 = 20;

/** A pool for the URL. Parameters in the URL, such as `sslmode`, win over those set here. Connects with the first query. */
export function openPostgres(url: string): Kysely<Schema> {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'promgate',
    max: 10,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    statement_timeout: 60_000,
    // The server may have gone without a word; a little more than the server's own limit.
    query_timeout: 65_000,
    idle_in_transaction_session_timeout: 60_000,
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === int8 && format !== 'binary' ? Number : pg.types.getTypeParser(oid, format),
    },
  });
  // Node ends the process on an 'error' event that nobody hears. A lost connection fails the query that uses it, which is
  // enough; the pool replaces it. The pool speaks for idle connections, each client for itself while it is out.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
}
