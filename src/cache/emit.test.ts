import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { PromgateError } from '../errors.ts';
import type { Asking } from '../upstream/ask.ts';
import type { Head } from '../upstream/head.ts';
import type { AnswerReceiver } from './answer.ts';
import { type Emitted, emit } from './emit.ts';

const tooLarge = new PromgateError('too_large', 'too large');

/** Lets all that waits for its turn have it. */
async function turns(count = 1): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Takes `appetite` chunks, then wants no more for now. */
class Client implements AnswerReceiver {
  head_: Head | null = null;
  readonly chunks: Buffer[] = [];
  over: 'end' | PromgateError | null = null;
  from = '';
  appetite = Number.POSITIVE_INFINITY;
  asking: Asking | null = null;
  leavesAt = Number.POSITIVE_INFINITY;
  left = false;
  paused = false;

  head(head: Head, from: string): void {
    expect(this.head_).toBeNull();
    this.head_ = head;
    this.from = from;
  }

  data(chunk: Buffer): boolean {
    expect([this.head_ === null, this.over, this.paused, this.left]).toEqual([false, null, false, false]);
    // A reader could take it for the end.
    expect(chunk.length).toBeGreaterThan(0);
    this.chunks.push(chunk);
    if (this.chunks.length >= this.leavesAt) this.leave();
    this.paused = --this.appetite <= 0;
    return !this.paused;
  }

  end(): void {
    expect([this.head_ === null, this.over, this.left]).toEqual([false, null, false]);
    this.over = 'end';
  }

  fail(error: PromgateError): void {
    expect([this.over, this.left]).toEqual([null, false]);
    this.over = error;
  }

  leave(): void {
    if (this.asking === null) return;
    this.left = true;
    this.asking.abort();
  }

  takes(appetite: number): void {
    this.appetite = appetite;
    this.paused = false;
    this.asking?.resume();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

interface Bench {
  readonly client: Client;
  /** How many chunks were made. */
  made(): number;
  ended(): number | null;
}

/** Hands over an answer of chunks of these lengths; `breaksAt`: which of them cannot be made. */
function emitted(lengths: readonly number[], options: { maxBytes?: number; breaksAt?: number; client?: Client } = {}): Bench {
  const { maxBytes = 1e9, breaksAt = -1, client = new Client() } = options;
  let made = 0;
  let ended: number | null = null;
  function* chunks(): Generator<Buffer, { savedPoints: number }> {
    for (const [i, length] of lengths.entries()) {
      if (i === breaksAt) throw new Error('broken');
      made++;
      yield Buffer.alloc(length, i + 1);
    }
    if (breaksAt === lengths.length) throw new Error('broken');
    return { savedPoints: 7 };
  }
  const answer: Emitted = {
    chunks: chunks(),
    contentType: 'application/json',
    from: 'hit',
    maxBytes,
    tooLarge: () => tooLarge,
    onEnd: (saved) => {
      expect(ended).toBeNull();
      ended = saved;
    },
  };
  client.asking = emit(answer, client);
  return { client, made: () => made, ended: () => ended };
}

function allOf(lengths: readonly number[]): Buffer {
  return Buffer.concat(lengths.map((length, i) => Buffer.alloc(length, i + 1)));
}

describe('an answer that we make', () => {
  it('of one chunk is handed over at once, its length told beforehand', () => {
    const { client, ended } = emitted([10]);
    expect(client.head_).toMatchObject({ status: 200, contentType: 'application/json', contentLength: 10, framed: true });
    expect([client.from, client.over, ended()]).toEqual(['hit', 'end', 7]);
    expect(client.bytes).toEqual(allOf([10]));
  });

  it('of several comes one after the other, and others have their turn in between', async () => {
    const { client, made } = emitted([10, 20, 30]);
    expect(client.head_?.contentLength).toBeNull();
    expect(client.chunks.length).toBe(1);
    // Whether there is a second one tells whether the length is known.
    expect(made()).toBe(2);
    await turns();
    expect(client.chunks.length).toBe(2);
    await turns();
    expect([client.chunks.length, client.over]).toEqual([3, 'end']);
  });

  it('of which the reader wants no more is not made any further', async () => {
    const client = new Client();
    client.appetite = 2;
    const { made } = emitted([1, 1, 1, 1, 1], { client });
    await turns(10);
    expect([client.chunks.length, made()]).toEqual([2, 2]);
    client.takes(1);
    await turns(10);
    expect(client.chunks.length).toBe(3);
    client.takes(10);
    await turns(10);
    expect([client.chunks.length, client.over]).toEqual([5, 'end']);
  });

  it.each([
    [[10], 9, 0],
    [[10, 10], 9, 0],
    [[10, 10], 19, 0],
    [[10, 9, 1], 19, 2],
    [[5, 5, 5, 5], 15, 3],
    [[0, 5, 0, 5, 5], 10, 2],
  ])('of chunks of %j bytes breaks off beyond %i bytes, after %i chunks', async (lengths, maxBytes, sent) => {
    const { client, ended } = emitted(lengths, { maxBytes });
    await turns(10);
    expect([client.chunks.length, client.over, ended()]).toEqual([sent, tooLarge, null]);
    // Before anything was sent it can still be another answer.
    expect(client.head_ === null).toBe(sent === 0);
  });

  it('of just as many bytes as there may be is whole', async () => {
    const { client } = emitted([10, 9], { maxBytes: 19 });
    await turns(10);
    expect(client.over).toBe('end');
  });

  it.each([0, 1, 2, 3])('that cannot be made fails: at chunk %i', async (breaksAt) => {
    const { client, ended } = emitted([1, 1, 1], { breaksAt });
    await turns(10);
    expect(client.over).toMatchObject({ code: 'internal' });
    expect([client.head_ === null, ended()]).toEqual([breaksAt < 2, null]);
  });

  it('whose reader makes a mistake fails, and nothing else does', async () => {
    const { client, ended } = emitted([1, 1, 1]);
    const taken = client.data;
    client.data = () => {
      client.data = taken;
      throw new Error('a mistake');
    };
    await turns(10);
    expect(client.over).toMatchObject({ code: 'internal' });
    expect(ended()).toBeNull();
  });

  it('is whole and in order whatever the reader does, and nothing comes after it has left', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant('turn') },
      { weight: 4, arbitrary: fc.integer({ min: 1, max: 4 }) },
      { weight: 1, arbitrary: fc.constantFrom('resume', 'leave') },
    );
    const cases = fc.record({
      lengths: fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 8 }),
      appetite: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
      leavesAt: fc.constantFrom(2, 3, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
      maxBytes: fc.constantFrom(5, 1000, 1000),
      steps: fc.array(step, { maxLength: 20 }),
    });
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(cases, async ({ lengths, appetite, leavesAt, maxBytes, steps }) => {
        const client = new Client();
        client.appetite = appetite;
        client.leavesAt = leavesAt;
        const { ended } = emitted(lengths, { client, maxBytes });
        for (const step of steps) {
          if (step === 'turn') await turns();
          else if (step === 'leave') client.leave();
          else if (typeof step === 'number') client.takes(step);
          // Without need.
          else if (!client.paused) client.asking?.resume();
        }
        client.takes(Number.POSITIVE_INFINITY);
        await turns(2 * lengths.length + 2);
        const all = allOf(lengths);
        expect(all.subarray(0, client.bytes.length)).toEqual(client.bytes);
        expect(client.bytes.length).toBeLessThanOrEqual(maxBytes);
        if (client.over === 'end') expect([client.bytes.length, ended()]).toEqual([all.length, 7]);
        else if (client.over === tooLarge) expect([all.length > maxBytes, ended()]).toEqual([true, null]);
        else expect([client.left, ended()]).toEqual([true, null]);
        seen.add(client.over === tooLarge ? 'too large' : (client.over ?? 'left').toString());
      }),
      { numRuns: 200 },
    );
    expect([...seen].sort()).toEqual(['end', 'left', 'too large']);
  });
});
