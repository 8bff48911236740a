/** Networks in CIDR notation: from which addresses a token may be used. */
import { BlockList, isIP, isIPv4 } from 'node:net';
import { PromgateError } from '../errors.ts';

/** Its message names the text and what would be right. */
export class NetworkError extends PromgateError {
  constructor(message: string) {
    super('bad_data', message);
    this.name = 'NetworkError';
  }
}

/**
 * The canonical form of a network: `10.1.0.0/16`, `2001:db8::/32`; a lone address gets `/32` or `/128`, an IPv4-mapped
 * IPv6 network becomes IPv4. Throws {@link NetworkError},
 * also for bits beyond the prefix: they are most often a typing error.
 */
export function normalizeNetwork(text: string): string {
  const match = /^([^/]+?)(?:\/(\d{1,3}))?$/.exec(text);
  const address = match?.[1] ?? '';
  const family = isIP(address);
  if (match === null || family === 0 || address.includes('%')) {
    throw new NetworkError(`"${text}" is not a network such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32`);
  }
  const width = family === 4 ? 32 : 128;
  const length = match[2] === undefined ? width : Number(match[2]);
  if (length > width) throw new NetworkError(`"${text}": the prefix length of an IPv${family} network is at most ${width}`);
  const bits = addressBits(address);
  const hostBits = BigInt(width - length);
  const base = (bits >> hostBits) << hostBits;
  const network = formatNetwork(base, length, width);
  if (base !== bits) throw new NetworkError(`"${text}" has bits set beyond its prefix; the network is ${network}`);
  return network;
}

/** From the JSON array of a token's record. Throws for anything else: it must not pass for "from anywhere". */
export function parseNetworks(json: string): string[] {
  const networks: unknown = JSON.parse(json);
  if (!Array.isArray(networks)) throw new NetworkError('The networks of the token are not a list.');
  return networks.map((network) => normalizeNetwork(String(network)));
}

/**
 * A function that tells whether an address lies in one of `networks` (as {@link normalizeNetwork} gives them). An IPv4
 * address matches the same in its IPv6-mapped form; what is no address matches nothing.
 */
export function networkMatcher(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', length = ''] = network.split('/');
    list.addSubnet(address, Number(length), isIPv4(address) ? 'ipv4' : 'ipv6');
  }
  return (address) => {
    const family = isIP(address);
    if (family === 0) return false;
    return list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  };
}

/** The address as a number. Not for one with a zone. */
export function addressBits(address: string): bigint {
  if (isIPv4(address)) return address.split('.').reduce((bits, octet) => (bits << 8n) | BigInt(octet), 0n);
  const [head = '', tail] = canonicalIPv6(address).split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...front, ...new Array<string>(8 - front.length - back.length).fill('0'), ...back];
  return groups.reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}

/** RFC 5952's form (without dotted quads), which is what the URL standard prescribes for hosts. */
function canonicalIPv6(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function formatNetwork(base: bigint, length: number, width: number): string {
  if (width === 32) return `${formatIPv4(base)}/${length}`;
  if (length >= 96 && base >> 32n === 0xffffn) return `${formatIPv4(base & 0xffff_ffffn)}/${length - 96}`;
  const groups = Array.from({ length: 8 }, (_, i) => ((base >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return `${canonicalIPv6(groups.join(':'))}/${length}`;
}

function formatIPv4(bits: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join('.');
}
