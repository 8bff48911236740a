/** For unit tests of the cache: a question whose server is the test itself. */
import { expect } from 'vitest';
import type { AnswerReceiver, CacheResult } from '../../src/cache/answer.ts';
import type { Budget } from '../../src/cache/budget.ts';
import type { CacheRules } from '../../src/cache/policy.ts';
import type { Question } from '../../src/cache/source.ts';
import type { Server, ServerKind } from '../../src/directory/model.ts';
import type { PromgateError } from '../../src/errors.ts';
import type { Asking, Receiver } from '../../src/upstream/ask.ts';
import { type Binding, bind } from '../../src/upstream/binding.ts';
import type { Head } from '../../src/upstream/head.ts';

const limits = {
  timeout: 30_000,
  maxRange: 0,
  maxPoints: 11_000,
  maxDepth: 100,
  maxResponse: 1e9,
  maxQueryBytes: 1e6,
  tokenConcurrency: 0,
  tokenRate: 0,
  environmentConcurrency: 0,
  environmentRate: 0,
};

export const cacheRules: CacheRules = {
  enabled: true,
  recentWindow: 300_000,
  maxAge: 86_400_000,
  instant: true,
  metadataTtl: 10_000,
};

/** An endpoint on a server of this kind. */
export function bindingOf(kind: ServerKind | null = null, cache: Partial<CacheRules> = {}): Binding {
  const server: Server = {
    id: 1,
    name: 'main',
    level: 'instance',
    url: 'http://127.0.0.1:9090',
    environmentScope: '*',
    enabled: true,
    kind,
    enforce: {},
    verify: 'server',
    limits: {},
    expose: [],
    cache: {},
    revision: 'r1',
    restricted: false,
    connection: { auth: null, headers: {}, queryParams: {}, tls: {} },
  };
  const group = { id: 1, path: 'acme', parent: null, servers: [] };
  return bind({ level: 'group', group }, server, { limits, cache: { ...cacheRules, ...cache } }, new Map());
}

/** A request under way, as the test sees it. */
export class Upstream implements Asking {
  readonly parameters: string;
  readonly receiver: Receiver;
  aborted = 0;
  resumed = 0;

  constructor(parameters: string, receiver: Receiver) {
    this.parameters = parameters;
    this.receiver = receiver;
  }

  abort(): void {
    this.aborted++;
  }

  resume(): void {
    this.resumed++;
  }
}

/** What is asked of the server lands in `asked`. `atOnce`: what it does as soon as it is asked. */
export function questionOf(binding: Binding, atOnce: (receiver: Receiver) => void = () => undefined) {
  const asked: Upstream[] = [];
  const question: Question = {
    asked: { endpoint: 'query', path: '/api/v1/query', parameters: 'all', single: new Map(), times: {}, expr: null },
    binding,
    source(parameters, gzip, receiver) {
      expect(gzip).toBe(false);
      const upstream = new Upstream(parameters, receiver);
      asked.push(upstream);
      atOnce(receiver);
      return upstream;
    },
    between: (start, end) => `${start} to ${end}`,
  };
  return { question, asked };
}

/** Whoever asks. */
export class Recorder implements AnswerReceiver {
  readonly heads: [Head, CacheResult][] = [];
  readonly chunks: Buffer[] = [];
  over: 'end' | PromgateError | null = null;
  flowing = true;

  head(head: Head, from: CacheResult): void {
    this.heads.push([head, from]);
  }

  data(chunk: Buffer): boolean {
    expect([this.heads.length, this.over]).toEqual([1, null]);
    this.chunks.push(chunk);
    return this.flowing;
  }

  end(): void {
    expect([this.heads.length, this.over]).toEqual([1, null]);
    this.over = 'end';
  }

  fail(error: PromgateError): void {
    expect(this.over).toBeNull();
    this.over = error;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
}

/** A budget of so many bytes, and how many of them are taken. */
export function countingBudget(bytes: number): Budget & { taken: number } {
  return {
    taken: 0,
    take(wanted) {
      expect(wanted).toBeGreaterThanOrEqual(0);
      if (this.taken + wanted > bytes) return false;
      this.taken += wanted;
      return true;
    },
    give(back) {
      this.taken -= back;
      expect(this.taken).toBeGreaterThanOrEqual(0);
    },
  };
}
