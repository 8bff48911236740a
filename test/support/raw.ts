import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** An answer as it stood on the wire. */
export interface RawAnswer {
  /** 0 where there was no status line. */
  readonly status: number;
  /** Lower-case names; a name that came several times has several values. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** Without the chunked framing; still compressed where it was. */
  readonly body: Buffer;
  /** Whether head and body are whole by the answer's own framing (its length, or the last chunk). */
  readonly complete: boolean;
}

export interface RawResult extends RawAnswer {
  /**
   * How the connection stood at last: still open after a whole answer, closed in order, reset, or still open at the deadline
   * though the answer is not whole or said `Connection: close`.
   */
  readonly ended: 'open' | 'closed' | 'reset' | 'deadline';
  /** Everything that came, head included. */
  readonly raw: Buffer;
}

export interface RawConnection {
  readonly socket: Socket;
  /** Everything that came so far. */
  received(): Buffer;
  send(bytes: string | Buffer): void;
  /** Resolves with how the other side ended the connection. */
  readonly ended: Promise<'closed' | 'reset'>;
  /** Leaves without a farewell: TCP reset. */
  reset(): void;
}

/** A bare TCP connection to a test server's URL. */
export async function connectRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, 'connect');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  const ended = new Promise<'closed' | 'reset'>((resolve) => {
    socket.once('end', () => resolve('closed'));
    socket.once('error', () => resolve('reset'));
    socket.once('close', () => resolve('closed'));
  });
  return {
    socket,
    ended,
    received: () => Buffer.concat(chunks),
    send: (bytes) => socket.write(bytes),
    reset: () => socket.resetAndDestroy(),
  };
}

/**
 * Sends bytes as they are, and reads until the answer is whole, the other side ends the connection, or the deadline.
 * @param bytes one piece, or pieces that are sent `pauseMs` apart
 */
export async function sendRaw(
  url: string,
  bytes: string | Buffer | readonly (string | Buffer)[],
  { deadlineMs = 20_000, pauseMs = 0, method = 'GET' } = {},
): Promise<RawResult> {
  const connection = await connectRaw(url);
  const sending = (async () => {
    for (const piece of Array.isArray(bytes) ? bytes : [bytes]) {
      if (connection.socket.destroyed) return;
      connection.send(piece);
      if (pauseMs > 0) await delay(pauseMs);
    }
  })();
  const whole = new Promise<'open'>((resolve) => {
    let pause: NodeJS.Timeout | undefined;
    const look = (): void => {
      if (parseAnswer(connection.received(), method).complete) resolve('open');
    };
    // A look copies everything that came, so it waits for a pause.
    connection.socket.on('data', () => {
      clearTimeout(pause);
      pause = setTimeout(look, 5);
    });
  });
  const waiting = new AbortController();
  const deadline = delay(deadlineMs, 'deadline' as const, { signal: waiting.signal }).catch(() => 'deadline' as const);
  const promised = whole.then((open) => (endsConnection(parseAnswer(connection.received(), method)) ? connection.ended : open));
  const ended = await Promise.race([connection.ended, promised, deadline]);
  waiting.abort();
  connection.socket.destroy();
  await sending;
  const raw = connection.received();
  const answer = parseAnswer(raw, method);
  // A body without length or chunks is as long as the connection; its orderly end makes it whole.
  const untilClose = answer.status !== 0 && !answer.headers.has('content-length') && !answer.headers.has('transfer-encoding');
  return { ...answer, complete: answer.complete || (untilClose && ended === 'closed'), ended, raw };
}

/** Whether the answer says that it is the connection's last; the end itself may come a moment after the answer. */
function endsConnection({ headers }: RawAnswer): boolean {
  return headers.get('connection')?.some((value) => value.toLowerCase() === 'close') === true;
}

/** One HTTP/1.1 request as text, with `Host` and `Connection: close`; the target goes out as it is given. */
export function requestText(
  url: string,
  target: string,
  options: { method?: string; headers?: string[]; body?: string } = {},
): string {
  const { method = 'GET', headers = [], body } = options;
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  const head = [`${method} ${target} HTTP/1.1`, `Host: ${new URL(url).host}`, 'Connection: close', ...headers, ...length];
  return `${head.join('\r\n')}\r\n\r\n${body ?? ''}`;
}

/** Reads the first final answer (not `1xx`) of what came over a connection. `method` is that of the request. */
export function parseAnswer(raw: Buffer, method = 'GET'): RawAnswer {
  const headEnd = raw.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = raw
    .subarray(0, headEnd < 0 ? raw.length : headEnd)
    .toString('latin1')
    .split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(`${statusLine} `)?.[1] ?? 0);
  if (headEnd >= 0 && status >= 100 && status < 200) return parseAnswer(raw.subarray(headEnd + 4), method);
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()]);
  }
  if (headEnd < 0 || status === 0) return { status, headers, body: Buffer.alloc(0), complete: false };
  const rest = raw.subarray(headEnd + 4);
  if (method === 'HEAD' || status === 204 || status === 304) return { status, headers, body: rest, complete: true };
  if (headers.get('transfer-encoding')?.[0] === 'chunked') return { status, headers, ...dechunk(rest) };
  const length = headers.get('content-length')?.[0];
  return { status, headers, body: rest, complete: length !== undefined && rest.length >= Number(length) };
}

function dechunk(bytes: Buffer): { body: Buffer; complete: boolean } {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return { body: Buffer.concat(parts), complete: false };
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    const from = lineEnd + 2;
    if (size === 0) return { body: Buffer.concat(parts), complete: bytes.indexOf('\r\n', from) >= 0 };
    parts.push(bytes.subarray(from, from + size));
    if (Number.isNaN(size) || bytes.length < from + size + 2) return { body: Buffer.concat(parts), complete: false };
    at = from + size + 2;
  }
}
