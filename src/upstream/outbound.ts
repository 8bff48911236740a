/**
 * Where servers may be that somebody other than an administrator or a file sets: at public addresses, and where `outbound.allow`
 * says (contract §8). What counts is the address, however the URL writes it, and each connection goes to an address that was
 * checked for it: a name that means another address a moment later (DNS rebinding) gains nothing.
 */
import { lookup as dnsLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { networkMatcher } from '../access/networks.ts';
import { PromgateError } from '../errors.ts';
import { isPublic } from './not-public.ts';

/** An IP address, and 4 or 6. */
export interface Address {
  readonly address: string;
  readonly family: number;
}

/** Every address of a name. Rejects where there is none. */
export type Lookup = (hostname: string) => Promise<readonly Address[]>;

/** As the system resolves names: hosts file, search domains, DNS. */
export const systemLookup: Lookup = (hostname) => dnsLookup(hostname, { all: true });

/** A host that must not be connected to. The message has its addresses: for operators only. */
export class OutboundError extends Error {
  readonly code = 'PROMGATE_OUTBOUND';

  constructor(hostname: string, addresses: readonly string[]) {
    super(`${hostname} (${addresses.join(', ') || 'no address'}) is not in outbound.allow, and not public or this machine's own`);
    this.name = 'OutboundError';
  }
}

export interface Outbound {
  /** Whether an IP address may be connected to; what is none may not. */
  allows(address: string): boolean;
  /**
   * The addresses that a URL's host (without brackets) stands for; all of them may be connected to. Rejects with {@link OutboundError}
   * where one may not, and as `lookup` does.
   */
  resolve(hostname: string): Promise<readonly Address[]>;
}

/** `allow`: as the setting gives it, host names and networks. */
export function createOutbound(allow: readonly string[], lookup: Lookup = systemLookup): Outbound {
  const networks = allow.filter((entry) => entry.includes('/'));
  const hosts = new Set(allow.filter((entry) => !entry.includes('/')));
  // Apart: `::/0` means all of IPv6 and would match IPv4, too.
  const inIPv4Networks = networkMatcher(networks.filter((network) => !network.includes(':')));
  const inIPv6Networks = networkMatcher(networks.filter((network) => network.includes(':')));
  const allows = (address: string): boolean => {
    if (isIP(address) === 0) return false;
    // Also for the IPv4-mapped form, which is a connection over IPv4. Not for forms that a translator on the way turns into
    // IPv4: what it reaches is its own business, so its network has to be named.
    if (inIPv4Networks(address)) return true;
    if (!isOverIPv4(address) && inIPv6Networks(address)) return true;
    return isPublic(address) && !isOwn(address);
  };
  return {
    allows,
    async resolve(hostname) {
      const family = isIP(hostname);
      const addresses = family === 0 ? await lookup(hostname) : [{ address: hostname, family }];
      const allowed = hosts.has(hostname.replace(/\.$/, '')) || addresses.every(({ address }) => allows(address));
      if (allowed && addresses.length > 0) return addresses;
      throw new OutboundError(
        hostname,
        addresses.map(({ address }) => address),
      );
    },
  };
}

/** IPv4, plain or mapped (RFC 4291, 2.5.5.2). */
const isOverIPv4 = networkMatcher(['0.0.0.0/0']);

/** Whether this machine has the address: services here may take a connection from here for one of their own, or have no firewall. */
function isOwn(address: string): boolean {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return networkMatcher(own.map(({ address, family }) => `${address}/${family === 'IPv4' ? 32 : 128}`))(address);
}

/** Milliseconds for a name to resolve while a server's record is written. */
const LOOKUP_TIMEOUT = 5_000;

/**
 * Refuses (`bad_data`) a server's URL that points where such a server may not. To be asked before the record is written, so that its
 * author learns of it; what protects is the check at each connection. A name that does not resolve gets the same answer as one that
 * does to a forbidden address: it would tell the names of an internal network.
 */
export async function checkOutbound(url: string, allow: readonly string[], lookup: Lookup = systemLookup): Promise<void> {
  const { protocol, hostname } = URL.canParse(url) ? new URL(url) : { protocol: '', hostname: '' };
  if (!/^https?:$/.test(protocol)) {
    throw new PromgateError('bad_data', 'the URL of a server must be one such as https://prometheus.example:9090');
  }
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  try {
    await inTime(createOutbound(allow, lookup).resolve(host));
  } catch (error) {
    const wanted = isIP(host) === 0 ? 'its name must resolve, to public addresses only' : 'it is not a public address';
    const remedy = 'an administrator can set such a server, or allow the host in outbound.allow';
    throw new PromgateError('bad_data', `the host ${JSON.stringify(host)} is not allowed: ${wanted}; ${remedy}`, {
      operator: (error as Error).message,
      cause: error,
    });
  }
}

function inTime<T>(looking: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no answer within ${LOOKUP_TIMEOUT / 1000}s`)), LOOKUP_TIMEOUT);
    looking.then(resolve, reject).finally(() => clearTimeout(late));
  });
}
