/** Connections to servers: one pool for each server record, replaced when the record changes. */
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector, Pool } from 'undici';
import type { Server, Tls } from '../directory/model.ts';
import { createOutbound, type Lookup, type Outbound, OutboundError, systemLookup } from './outbound.ts';

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

/**
 * `allow` gives the setting `outbound.allow`, as the same array until it is another one: then restricted servers are connected to anew.
 */
export function createPools(allow: () => readonly string[], lookup: Lookup = systemLookup): Pools {
  const pools = new Map<Server, Pool>();
  let allowed = allow();
  let outbound = createOutbound(allowed, lookup);
  /** What was connected under another list may be forbidden by this one. */
  const takeOverList = () => {
    if (allow() === allowed) return;
    allowed = allow();
    outbound = createOutbound(allowed, lookup);
    discard(({ restricted }) => restricted);
  };
  const discard = (isOver: (server: Server) => boolean) => {
    for (const [server, pool] of pools) {
      if (!isOver(server)) continue;
      pools.delete(server);
      void pool.close();
    }
  };
  return {
    for(server) {
      if (server.restricted) takeOverList();
      let pool = pools.get(server);
      if (pool === undefined) {
        pool = openPool(server, server.restricted ? outbound : null);
        pools.set(server, pool);
      }
      return pool;
    },
    keepOnly(servers) {
      const current = new Set(servers);
      discard((server) => !current.has(server));
    },
    async destroy() {
      const all = [...pools.values()];
      pools.clear();
      await Promise.all(all.map((pool) => pool.destroy()));
    },
  };
}

/** `outbound`: where the server may be; `null`: anywhere. */
function openPool(server: Server, outbound: Outbound | null): Pool {
  const options = { timeout: CONNECT_TIMEOUT, allowH2: false, ...tlsOptions(server.connection?.tls ?? {}) };
  return new Pool(new URL(server.url).origin, {
    connections: MAX_CONNECTIONS,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: KEEP_ALIVE,
    keepAliveMaxTimeout: KEEP_ALIVE,
    // The deadline of `ask.ts` covers the whole answer.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: outbound === null ? options : guardedConnector(options, outbound),
  });
}

/** Connects to addresses alone that `outbound` has just checked; fails with its {@link OutboundError} otherwise. */
function guardedConnector(options: buildConnector.BuildOptions, outbound: Outbound): buildConnector.connector {
  const connect = buildConnector({ ...options, lookup: checkedLookup(outbound) });
  return (to, callback) => {
    // Node looks up names only.
    if (isIP(to.hostname) === 0 || outbound.allows(to.hostname)) connect(to, callback);
    else queueMicrotask(() => callback(new OutboundError(to.hostname, [to.hostname]), null));
  };
}

/** Node asks once for each connection, and tries the addresses that it is given and no others. */
function checkedLookup(outbound: Outbound): LookupFunction {
  return (hostname, { all }, callback) => {
    outbound.resolve(hostname).then(
      (addresses) => {
        const [first] = addresses;
        if (all === true || first === undefined) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };
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
