import { once } from 'node:events';
import { createServer } from 'node:net';
import type { ListenAddress } from '../config/values.ts';

/** The address itself, or the next port of its host that nothing listens on. Throws where the host is not this machine's. */
export async function freeAddress({ host, port }: ListenAddress): Promise<ListenAddress> {
  for (let candidate = port; candidate <= 65_535; candidate += 1) {
    const free = await tryPort(host, candidate);
    if (free !== null) return { host, port: free };
  }
  throw new Error(`No port of ${host} from ${port} on is free.`);
}

/** The port (which for 0 is any free one), or `null` where it is taken. */
async function tryPort(host: string, port: number): Promise<number | null> {
  const probe = createServer();
  try {
    probe.listen({ host, port, exclusive: true });
    await once(probe, 'listening');
    const address = probe.address();
    probe.close();
    await once(probe, 'close');
    return address !== null && typeof address === 'object' ? address.port : null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return null;
    throw new Error(
      `Cannot listen on ${addressText({ host, port })} (${error instanceof Error ? error.message : String(error)}).`,
    );
  }
}

/** `127.0.0.1:9490`, `[::1]:9490`. */
export function addressText({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
