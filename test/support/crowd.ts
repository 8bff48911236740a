/** Clients that ask at once, each on a connection of its own, and stay in the test's hands while they wait. */
import { connectRaw, parseAnswer, type RawConnection, type RawResult, requestText, sendRaw } from './raw.ts';

export interface Asking {
  readonly connection: RawConnection;
  /** What came until Promgate ended the connection, which it does after the answer. */
  answer(): Promise<RawResult>;
  /** Resolves when so many bytes have come, head included. */
  received(bytes: number): Promise<void>;
}

export interface Asked {
  method?: string;
  headers?: string[];
  body?: string;
}

/** Sends a request; resolves when the operating system has all of it. `read: false`: nothing of the answer is read until told. */
export async function open(
  url: string,
  target: string,
  { read = true, ...asked }: Asked & { read?: boolean } = {},
): Promise<Asking> {
  const connection = await connectRaw(url);
  const { socket } = connection;
  if (!read) socket.pause();
  await new Promise<void>((resolve) => socket.write(requestText(url, target, asked), () => resolve()));
  return {
    connection,
    answer: async () => {
      const ended = await connection.ended;
      const raw = connection.received();
      return { ...parseAnswer(raw, asked.method), ended, raw };
    },
    received: async (bytes) => {
      while (connection.received().length < bytes) await new Promise((resolve) => socket.once('data', resolve));
    },
  };
}

/**
 * Resolves when Promgate has seen all that was sent to it, or done to its connections, before: the kernel tells a process of its
 * sockets in order, and this is the last of them. Three times, because reading a body takes more than one turn.
 */
export async function settled(url: string): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    const { status } = await sendRaw(url, requestText(url, '/acme/shop/-/prometheus/-/healthy'));
    if (status !== 200) throw new Error(`not healthy: ${status}`);
  }
}
