/** Points at which a server waits for a test, so that what is in flight meanwhile is known and no clock is needed. */
import type { Script, UpstreamRequest } from './strict-upstream.ts';

export interface Hold {
  readonly script: Script;
  /** Lets go of everything that waits, and of all that comes later. */
  open(): void;
}

/** Requests that `which` picks (default: all) wait before they are answered by `script`; the others do not wait. */
export function holdAnswers(script: Script, which: (request: UpstreamRequest) => boolean = () => true): Hold {
  const { opened, open } = latch();
  return {
    open,
    async script(socket, request) {
      if (which(request)) await opened;
      if (!socket.destroyed) await script(socket, request);
    },
  };
}

/** The head and the first `before` bytes of the body go out at once; the rest waits. */
export function holdMidBody(body: string | Buffer, before: number, contentType = 'application/json'): Hold {
  const { opened, open } = latch();
  const bytes = Buffer.from(body);
  return {
    open,
    async script(socket) {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${contentType}\r\nContent-Length: ${bytes.length}\r\n\r\n`);
      socket.write(bytes.subarray(0, before));
      await opened;
      if (!socket.destroyed) socket.write(bytes.subarray(before));
    },
  };
}

function latch(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
