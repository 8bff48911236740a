import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bindingOf } from '../../test/support/cache-question.ts';
import type { PromgateError } from '../errors.ts';
import { type Asking, ask, type Receiver } from './ask.ts';

const { server } = bindingOf();
/** What each request, by its path, is answered with; the test writes the bodies. */
const responses = new Map<string, ServerResponse>();
const upstream = createServer((request, response) => {
  responses.set(request.url ?? '', response);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('0');
});
let pool: Pool;

beforeAll(async () => {
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  pool = new Pool(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`, { connections: 8, pipelining: 1 });
});
afterAll(async () => {
  await pool?.destroy();
  upstream.closeAllConnections();
  upstream.close();
});

/** Whoever asks. Wants no more when it has had as many bytes as it takes at first. */
class Client implements Receiver {
  readonly asking: Asking;
  readonly first: Promise<void>;
  readonly over: Promise<'end' | PromgateError>;
  text = '';
  onData: () => void = () => undefined;
  onEnd: () => void = () => undefined;
  readonly #appetite: number;
  readonly #begun = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<'end' | PromgateError>();

  constructor(path: string, appetite = Number.POSITIVE_INFINITY) {
    this.#appetite = appetite;
    this.first = this.#begun.promise;
    this.over = this.#done.promise;
    const request = { method: 'GET', path, headers: [], body: null, gzip: false, text: false, maxResponse: 1e6 } as const;
    this.asking = ask(pool, server, { ...request, timeout: 20_000 }, this, () => undefined);
  }

  head(): void {}

  data(chunk: Buffer): boolean {
    this.text += chunk.toString();
    this.#begun.resolve();
    this.onData();
    return this.text.length !== this.#appetite;
  }

  end(): void {
    this.onEnd();
    this.#done.resolve('end');
  }

  fail(error: PromgateError): void {
    this.#done.resolve(error);
  }
}

function responseTo(path: string): ServerResponse {
  const response = responses.get(path);
  if (response === undefined) throw new Error('not asked');
  return response;
}

describe('an answer that waits for its reader', () => {
  it.each(['data', 'the end'])('goes on when it is let while %s of another comes', async (what) => {
    const waiting = new Client('/waiting', 1);
    await waiting.first;
    responseTo('/waiting').end('1');
    const other = new Client('/other');
    await other.first;
    if (what === 'data') other.onData = () => waiting.asking.resume();
    else other.onEnd = () => waiting.asking.resume();
    responseTo('/other').end(what === 'data' ? '1' : '');
    expect(await Promise.all([waiting.over, other.over])).toEqual(['end', 'end']);
    expect(waiting.text).toBe('01');
  });
});

it('a mistake of ours at the end of an answer is told, not waited for', async () => {
  const client = new Client('/mistake');
  await client.first;
  client.onEnd = () => {
    throw new Error('a mistake');
  };
  responseTo('/mistake').end();
  expect(await client.over).toMatchObject({ code: 'internal' });
});
