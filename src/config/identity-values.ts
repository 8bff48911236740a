/** What single values of the sections `oidc` and `workload_identity` may be; each function says what is wrong, or `null`. */
import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

/** An https URL of an issuer or its keys; plain http only for the machine itself. With `query`, it may have one. */
export function issuerUrlProblem(text: string, { query = false } = {}): string | null {
  const url = /^https?:\/\//i.test(text) && !/[\s\\]/.test(text) && URL.canParse(text) ? new URL(text) : null;
  if (url === null) return 'must be an https URL such as https://gitlab.example';
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or password';
  if (text.includes('#')) return 'must not hold a fragment (#…)';
  if (text.includes('?') && !query) return 'must not hold a query (?…)';
  if (url.protocol === 'https:' || isLoopback(url.hostname)) return null;
  return 'must start with https://: whoever is on the way of plain http could let in anybody';
}

function isLoopback(hostname: string): boolean {
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  const family = isIP(address);
  return family === 0 ? hostname === 'localhost' : loopback.check(address, family === 6 ? 'ipv6' : 'ipv4');
}
