import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';

/** A request as it came over the wire. */
export interface UpstreamRequest {
  readonly method: string;
  /** The request target, undecoded. */
  readonly target: string;
  /** In order, with the case they came in. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** The value of a header; undefined where it is missing. */
  header(name: string): string | undefined;
  /** Resolves when the connection that it came over is gone. */
  readonly gone: Promise<void>;
}

/** What the server does with a request. It writes its answer, framing and all, to the socket itself. */
export type Script = (socket: Socket, request: UpstreamRequest) => void | Promise<void>;

export interface StrictUpstream {
  readonly url: string;
  /** Every whole request so far, in order. */
  readonly requests: readonly UpstreamRequest[];
  /** What was wrong with the requests that came, by the letter of RFC 9112; a test expects it to be empty. */
  readonly violations: readonly string[];
  /** Open connections. */
  connections(): number;
  /** Bytes written to all connections so far. */
  bytesSent(): number;
  /** From the next request on, do this. */
  play(script: Script): void;
  /** Resolves with the request number `index` (from 0), as soon as it has come. */
  request(index: number): Promise<UpstreamRequest>;
  stop(): Promise<void>;
}

/**
 * A server that misbehaves as scripted, for what no real one can be made to do. It reads HTTP/1.1 strictly, and records
 * the requests and what was wrong with them.
 */
export async function startStrictUpstream(script: Script): Promise<StrictUpstream> {
  const requests: UpstreamRequest[] = [];
  const violations: string[] = [];
  const sockets = new Set<Socket>();
  const waiting: (() => void)[] = [];
  let current = script;
  let sentBefore = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    const gone = new Promise<void>((resolve) => {
      socket.once('close', () => {
        sentBefore += socket.bytesWritten;
        sockets.delete(socket);
        resolve();
      });
    });
    socket.on('error', () => {});
    let pending: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      for (;;) {
        const read = readRequest(pending, gone);
        if (read === null) return;
        pending = read.rest;
        violations.push(...read.violations);
        requests.push(read.request);
        for (const wake of waiting.splice(0)) wake();
        void current(socket, read.request);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    violations,
    connections: () => sockets.size,
    bytesSent: () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, sentBefore),
    play: (next) => {
      current = next;
    },
    request: async (index) => {
      for (;;) {
        const found = requests[index];
        if (found) return found;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const hopByHop = [
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'trailer',
  'upgrade',
  'transfer-encoding',
  'expect',
];
const singular = ['host', 'content-length', 'content-type', 'authorization', 'accept', 'accept-encoding', 'connection'];

function readRequest(
  bytes: Buffer,
  gone: Promise<void>,
): { request: UpstreamRequest; rest: Buffer; violations: string[] } | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const [requestLine = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
  const violations: string[] = [];
  const [, method = '', target = ''] = /^([A-Z]+) (\/[!-~]*) HTTP\/1\.1$/.exec(requestLine) ?? [];
  if (method === '') violations.push(`request line: ${requestLine}`);
  const headers = lines.map((line): [string, string] => {
    const [, name = '', value = ''] = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === '') violations.push(`header line: ${line}`);
    return [name, value];
  });
  const all = (name: string): string[] => headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  for (const name of singular) if (all(name).length > 1) violations.push(`${name} came ${all(name).length} times`);
  for (const name of hopByHop) if (all(name).length > 0) violations.push(`hop-by-hop header ${name}`);
  if (all('host').length === 0) violations.push('no host');
  const [length] = all('content-length');
  if (length !== undefined && !/^\d+$/.test(length)) violations.push(`content-length: ${length}`);
  const bodyStart = headEnd + 4;
  const bodyEnd = bodyStart + Number(length ?? 0);
  if (bytes.length < bodyEnd) return null;
  const body = bytes.toString('utf8', bodyStart, bodyEnd);
  const request = { method, target, headers, body, header: (name: string) => all(name.toLowerCase())[0], gone };
  return { request, rest: bytes.subarray(bodyEnd), violations };
}

/** An answer with its length. */
export function answerText(status: string, headers: readonly string[], body: string): string {
  return [`HTTP/1.1 ${status}`, ...headers, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join('\r\n');
}

const json = 'Content-Type: application/json';
const success = '{"status":"success","data":{"resultType":"vector","result":[]}}';

/** A well-behaved answer. */
export function answers(body: string = success, status = '200 OK', headers: readonly string[] = [json]): Script {
  return (socket) => void socket.write(answerText(status, headers, body));
}

/** Reads the request and never says anything. */
export const stalls: Script = () => {};

/** The head and half the body, then nothing more; the connection stays open. */
export const stallsMidBody: Script = (socket) => {
  socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: ${success.length}\r\n\r\n${success.slice(0, 20)}`);
};

export const resetsBeforeHeaders: Script = (socket) => void socket.resetAndDestroy();

/** Closes in order, without a word. */
export const closesBeforeHeaders: Script = (socket) => void socket.end();

/**
 * Resolves when a peer in this process has read what was written before: after a while, and after a whole look at the sockets, which a
 * busy machine may come to later than to a timer.
 */
export async function beingRead(): Promise<void> {
  await delay(100);
  await turn();
}

/** Announces a chunk of 4 KiB, sends a part of it and resets. */
export const resetsMidChunk: Script = async (socket) => {
  socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n${success.slice(0, 20)}`);
  await beingRead();
  socket.resetAndDestroy();
};

/** Whole chunks, then an orderly close without the last one. */
export const closesWithoutLastChunk: Script = (socket) => {
  const chunk = success.slice(0, 20);
  socket.end(`HTTP/1.1 200 OK\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.length.toString(16)}\r\n${chunk}\r\n`);
};

/** Fewer bytes than `Content-Length` says, then an orderly close. */
export const sendsShortBody: Script = (socket) => {
  socket.end(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: ${success.length + 100}\r\n\r\n${success}`);
};

/** Not HTTP at all. */
export const sendsGarbage: Script = (socket) => void socket.end('\x00\x01\x02 SSH-2.0-OpenSSH_9.2p1\r\n\r\n');

/** Not JSON, though a success. */
export const sendsHtml: Script = (socket) => {
  socket.write(answerText('200 OK', ['Content-Type: text/html'], '<html><body>Please sign in</body></html>'));
};

export function redirectsTo(location: string, status = '302 Found'): Script {
  return (socket) => void socket.write(answerText(status, [`Location: ${location}`], ''));
}

/** An encoding that nobody asked for; the body is not really Brotli. */
export const sendsBrotli: Script = (socket) => {
  socket.write(answerText('200 OK', [json, 'Content-Encoding: br'], 'not really brotli'));
};

/** One byte of the head each `everyMs`, for ever. */
export function sendsSlowHeaders(everyMs: number): Script {
  return async (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nX-Slow: ');
    while (!socket.destroyed) {
      socket.write('x');
      await delay(everyMs);
    }
  };
}

/** A valid answer of about `bytes` bytes, as fast as the peer takes it and no faster. */
export function streams(bytes: number, framing: 'chunked' | 'length' = 'chunked'): Script {
  return async (socket) => {
    const start = '{"status":"success","data":{"resultType":"vector","result":["';
    const end = '"]}}';
    const piece = 'x'.repeat(64 * 1024);
    const pieces = Math.max(1, Math.round(bytes / piece.length));
    const chunked = framing === 'chunked';
    const frame = (text: string): string => (chunked ? `${text.length.toString(16)}\r\n${text}\r\n` : text);
    const length = start.length + pieces * piece.length + end.length;
    socket.write(`HTTP/1.1 200 OK\r\n${json}\r\n${chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`}\r\n\r\n`);
    socket.write(frame(start));
    for (let n = 0; n < pieces && !socket.destroyed; n++) {
      if (!socket.write(frame(piece))) await drained(socket);
    }
    if (!socket.destroyed) socket.write(frame(end) + (chunked ? '0\r\n\r\n' : ''));
  };
}

/** Resolves when the peer has taken what was written, or is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}
