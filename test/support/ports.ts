import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

const given = new Set<number>();
/** Test files that run at once have different ones; the run's own process has none. */
const slot = Number(process.env.VITEST_POOL_ID ?? 0) % 4;

/**
 * A TCP port of 127.0.0.1 that nothing listens on, for a server that cannot be told "port 0".
 * It lies below Linux' ephemeral range (32768 and up), so no outgoing connection of another test can take it before the
 * server does; nor is it given to another server of the same run that starts at the same time.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + slot * 5_000 + randomInt(5_000);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
