/** Connections to servers: one pool for each server record, replaced when the record changes. */
import { Pool } from 'undici';
import type { Server, Tls } from '../directory/model.ts';

/** Connections to one server; further questions wait in the pool's queue until their deadline. */
const MAX_CONNECTIONS = 256;
const CONNECT_TIMEOUT = 5_000;
/** Shorter than Prometheus' (5 min) and usual load balancers' (60 s), so that we are the side that closes. */
const KEEP_ALIVE = 30_000;

export interface Pools {
  /** The pool for a server as it is now. */
  for(server: Server): Pool;
  /** Closes the pools of servers that are not in the list (by identity) once their running requests are answered. */
  keepOnly(servers: readonly Server[]): void;
  /** Closes everything; requests still running are ended. */
  destroy(): Promise<void>;
}

export function createPools(): Pools {
  const pools = new Map<Server, Pool>();
  return {
    for(server) {
      let pool = pools.get(server);
      if (pool === undefined) {
        pool = openPool(server);
        pools.set(server, pool);
      }
      return pool;
    },
    keepOnly(servers) {
      const current = new Set(servers);
      for (const [server, pool] of pools) {
        if (current.has(server)) continue;
        pools.delete(server);
        void pool.close();
      }
    },
    async destroy() {
      const all = [...pools.values()];
      pools.clear();
      await Promise.all(all.map((pool) => pool.destroy()));
    },
  };
}

function openPool(server: Server): Pool {
  return new Pool(new URL(server.url).origin, {
    connections: MAX_CONNECTIONS,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: KEEP_ALIVE,
    keepAliveMaxTimeout: KEEP_ALIVE,
    // The deadline of `ask.ts` covers the whole answer.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: CONNECT_TIMEOUT, ...tlsOptions(server.connection?.tls ?? {}) },
  });
}

function tlsOptions(tls: Tls) {
  return {
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    rejectUnauthorized: tls.insecureSkipVerify !== true,
  };
}
