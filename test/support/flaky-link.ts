import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { freePort } from './ports.ts';

/** A TCP connection to another server that can be made to fail, as networks do. */
export interface FlakyLink {
  readonly port: number;
  /** Ends all connections and refuses new ones, as if the server were gone. */
  cut(): Promise<void>;
  /** Lets nothing through any more and says nothing about it, as if the machine had vanished. */
  mute(): void;
  /** Works again. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

/** Listens on 127.0.0.1 and hands on what comes. */
export async function startFlakyLink(target: { host: string; port: number }): Promise<FlakyLink> {
  const sockets = new Set<Socket>();
  let muted = false;
  const server = createServer((near) => {
    const far = connect(target);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
      if (muted) socket.pause();
    }
    near.on('data', (chunk) => far.write(chunk));
    far.on('data', (chunk) => near.write(chunk));
    if (muted) for (const socket of [near, far]) socket.pause();
  });
  const listen = async (): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  // One that no outgoing connection takes while the link is cut.
  const port = await freePort();
  await listen();
  const cut = async (): Promise<void> => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    port,
    cut,
    mute() {
      muted = true;
      for (const socket of sockets) socket.pause();
    },
    async mend() {
      muted = false;
      for (const socket of sockets) socket.resume();
      if (!server.listening) await listen();
    },
    async close() {
      if (server.listening) await cut();
    },
  };
}
