import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import type { TestPromgate, TestToken } from './promgate.ts';
import { type RawResult, requestText, sendRaw } from './raw.ts';

/** A request below an endpoint's prefix, byte by byte. */
export interface Shape {
  method?: string;
  headers?: readonly string[];
  body?: string;
  /** Default: `production`. */
  environment?: string;
  /** Default: Basic with the token; null: none. */
  authorization?: string | null;
}

export interface RawClient {
  /** Sends the request on a connection of its own; `path` follows the endpoint's prefix as it is. */
  send(path: string, shape?: Shape): Promise<RawResult>;
  /** The same with an urlencoded body. */
  post(path: string, params: FormParams, shape?: Shape): Promise<RawResult>;
}

export type FormParams = Readonly<Record<string, string | readonly string[]>>;

/** A client without any habits of its own, for the endpoints of a project's environments. */
export function rawClient(promgate: TestPromgate, project: string, token: TestToken): RawClient {
  const send: RawClient['send'] = async (path, { environment = 'production', authorization = token.basic, ...shape } = {}) => {
    const prefix = new URL(promgate.endpoint(`${project}:${environment}`)).pathname;
    const credentials = authorization === null ? [] : [`Authorization: ${authorization}`];
    const text = requestText(promgate.url, prefix + path, { ...shape, headers: [...credentials, ...(shape.headers ?? [])] });
    const answer = await sendRaw(promgate.url, text, { method: shape.method ?? 'GET' });
    expect(answer.complete).toBe(true);
    return answer;
  };
  return {
    send,
    post: (path, params, shape = {}) => {
      const headers = ['Content-Type: application/x-www-form-urlencoded', ...(shape.headers ?? [])];
      return send(path, { ...shape, method: 'POST', headers, body: form(params) });
    },
  };
}

export function form(params: FormParams): string {
  const pairs = Object.entries(params).flatMap(([name, values]) =>
    [values].flat().map((value): [string, string] => [name, value]),
  );
  return new URLSearchParams(pairs).toString();
}

/** The `data` of an answer that must be a success. */
export function dataOf(answer: RawResult): unknown {
  expect(answer.status).toBe(200);
  const { status, data } = JSON.parse(textOf(answer));
  expect(status).toBe('success');
  return data;
}

/** The body, decompressed where it must be. */
export function textOf(answer: RawResult): string {
  return (answer.headers.get('content-encoding')?.[0] === 'gzip' ? gunzipSync(answer.body) : answer.body).toString();
}
