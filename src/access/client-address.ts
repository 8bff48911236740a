/** Where a request comes from, for tokens that are bound to networks. */
import type { IncomingMessage } from 'node:http';

/**
 * The client's address: the connection's own, or, where that is a trusted proxy's, the right-most address of
 * `X-Forwarded-For` that is not one. Without trusted proxies the header is never read: anybody can write it.
 */
export function clientAddress(request: IncomingMessage, isTrustedProxy: (address: string) => boolean): string {
  let address = request.socket.remoteAddress ?? '';
  const header = request.headers['x-forwarded-for'];
  if (header === undefined) return address;
  const hops = (Array.isArray(header) ? header.join(',') : header).split(',');
  while (isTrustedProxy(address) && hops.length > 0) address = (hops.pop() as string).trim();
  return address;
}
