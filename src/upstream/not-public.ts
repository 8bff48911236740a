/**
 * Addresses that are not of the public Internet. Source: IANA's registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890),
 * and of IPv6's address space (RFC 4291, section 2.4). Where a block is public in part, all of it is refused.
 */
import { isIPv4 } from 'node:net';
import { networkMatcher } from '../access/networks.ts';

/** Of IPv4. */
const notPublicIPv4 = [
  '0.0.0.0/8', // this network, unspecified: RFC 1122, 3.2.1.3
  '10.0.0.0/8', // private: RFC 1918
  '100.64.0.0/10', // shared between a provider and its customers: RFC 6598. Holds a cloud's metadata: 100.100.100.200
  '127.0.0.0/8', // loopback: RFC 1122, 3.2.1.3
  '168.63.129.16/32', // Azure's own services to its machines, a public address in form alone
  '169.254.0.0/16', // link-local: RFC 3927. Holds the metadata of most clouds: 169.254.169.254
  '172.16.0.0/12', // private: RFC 1918
  '192.0.0.0/24', // protocol assignments: RFC 6890, 2.1. Holds a cloud's metadata: 192.0.0.192
  '192.0.2.0/24', // documentation: RFC 5737
  '192.88.99.0/24', // 6to4 relays, given up: RFC 7526
  '192.168.0.0/16', // private: RFC 1918
  '198.18.0.0/15', // benchmarks: RFC 2544
  '198.51.100.0/24', // documentation: RFC 5737
  '203.0.113.0/24', // documentation: RFC 5737
  '224.0.0.0/4', // multicast: RFC 5771
  '240.0.0.0/4', // reserved: RFC 1112, 4; and broadcast: RFC 8190
];

/**
 * Of IPv6 all that is not in 2000::/3, global unicast, and in that what stands for something else. Forms that hold an IPv4 address
 * are refused whatever that is: nobody needs them to reach a public one.
 */
const notPublicIPv6 = [
  // Unspecified ::, loopback ::1, IPv4-compatible ::/96 and -mapped ::ffff:0:0/96: RFC 4291, 2.5; IPv4-translated ::ffff:0:0:0/96:
  // RFC 2765; NAT64 64:ff9b::/96: RFC 6052, and 64:ff9b:1::/48: RFC 8215; discard 100::/64: RFC 6666; dummy 100:0:0:1::/64: RFC 9780.
  '::/3',
  '2001::/23', // protocol assignments: RFC 2928; Teredo 2001::/32: RFC 4380; benchmarks: RFC 5180; ORCHID: RFC 7343; DRIP: RFC 9374
  '2001:db8::/32', // documentation: RFC 3849
  '2002::/16', // 6to4: RFC 3056
  '3fff::/20', // documentation: RFC 9637
  // Not assigned, but for segment routing 5f00::/16: RFC 9602.
  '4000::/2',
  // Unique local fc00::/7: RFC 4193 (holds metadata of clouds: fd00:ec2::254, fd20:ce::254); link-local fe80::/10: RFC 4291, 2.5.6;
  // site-local fec0::/10: RFC 3879; multicast ff00::/8: RFC 4291, 2.7.
  '8000::/1',
];

// Apart, because a network of IPv6 that holds the IPv4-mapped addresses would match every address of IPv4.
const isSpecialIPv4 = networkMatcher(notPublicIPv4);
const isSpecialIPv6 = networkMatcher(notPublicIPv6);

/** Whether an IP address is one of the public Internet. A zone (`%eth0`) does not count. */
export function isPublic(address: string): boolean {
  return !(isIPv4(address) ? isSpecialIPv4(address) : isSpecialIPv6(address));
}
