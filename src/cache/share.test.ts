import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { PromgateError } from '../errors.ts';
import type { Asking } from '../upstream/ask.ts';
import { type AnswerReceiver, type CacheResult, headOf } from './answer.ts';
import { createSharing, type Sharing } from './share.ts';

const MiB = 1024 * 1024;
const joinable = MiB;
const held = 64 * MiB;

const head = headOf('application/json', null);
const failure = new PromgateError('unavailable', 'gone');
/** Chunks are told apart by where they lie in it; so tens of megabytes in flight take none. */
const memory = Buffer.alloc(33 * MiB);

type Event = CacheResult | 'end' | PromgateError | Buffer;

/** Whoever asks: takes `appetite` chunks, then wants no more for now. */
class Client implements AnswerReceiver {
  readonly events: Event[] = [];
  asking: Asking | null = null;
  appetite: number;
  leavesAtData = false;

  constructor(appetite = Infinity) {
    this.appetite = appetite;
  }

  head(given: unknown, from: CacheResult): void {
    expect(given).toBe(head);
    this.events.push(from);
  }

  data(chunk: Buffer): boolean {
    this.events.push(chunk);
    this.appetite--;
    if (this.leavesAtData) this.asking?.abort();
    return this.appetite > 0;
  }

  end(): void {
    this.events.push('end');
  }

  fail(error: PromgateError): void {
    this.events.push(error);
  }

  takes(appetite: number): void {
    this.appetite = appetite;
    this.asking?.resume();
  }

  get bytes(): number {
    return this.events.reduce((sum, event) => sum + (Buffer.isBuffer(event) ? event.length : 0), 0);
  }
}

/** What the answer comes from; the test says what it does. */
class Source implements Asking {
  receiver: AnswerReceiver | null = null;
  paused = false;
  aborted = 0;

  get all(): AnswerReceiver {
    if (this.receiver === null) throw new Error('not asked');
    return this.receiver;
  }

  send(bytes: number): Buffer {
    const chunk = memory.subarray(0, bytes);
    this.paused = !this.all.data(chunk);
    return chunk;
  }

  abort(): void {
    this.aborted++;
  }

  resume(): void {
    expect(this.paused).toBe(true);
    this.paused = false;
  }
}

function join(sharing: Sharing, client: Client, source: Source, key = 'key'): Client {
  client.asking = sharing.join(key, client, (receiver) => {
    source.receiver = receiver;
    return source;
  });
  return client;
}

function never(): Asking {
  throw new Error('asked twice');
}

describe('who asks the same', () => {
  it('shares one question, and all get the answer from its first byte on', () => {
    const sharing = createSharing();
    const source = new Source();
    const first = join(sharing, new Client(), source);
    source.all.head(head, 'miss');
    const before = source.send(10);
    const late = new Client();
    sharing.join('key', late, never);
    const after = source.send(20);
    source.all.end();
    expect(first.events).toEqual(['miss', before, after, 'end']);
    expect(late.events).toEqual(['coalesced', before, after, 'end']);
    expect(sharing.heldBytes()).toBe(0);
  });

  it.each(['end', 'fail'] as const)('asks anew after its %s, and for another key', (how) => {
    const sharing = createSharing();
    const sources = [new Source(), new Source(), new Source()] as const;
    join(sharing, new Client(), sources[0]);
    join(sharing, new Client(), sources[1], 'other');
    sources[0].all.head(head, 'miss');
    if (how === 'end') sources[0].all.end();
    else sources[0].all.fail(failure);
    const next = join(sharing, new Client(), sources[2]);
    expect(sources[2].receiver).not.toBeNull();
    expect(next.events).toEqual([]);
  });

  it('can join while a MiB has come, and not later', () => {
    const sharing = createSharing();
    const source = new Source();
    join(sharing, new Client(), source);
    source.all.head(head, 'miss');
    source.send(joinable);
    expect(sharing.heldBytes()).toBe(joinable);
    const late = join(sharing, new Client(), new Source());
    expect(late.bytes).toBe(joinable);
    source.send(1);
    expect(sharing.heldBytes()).toBe(0);
    const other = new Source();
    expect(join(sharing, new Client(), other).events).toEqual([]);
    expect(other.receiver).not.toBeNull();
  });

  it('lets an answer come that all before had paused, and whoever joins goes on alone', () => {
    const sharing = createSharing();
    const source = new Source();
    const slow = join(sharing, new Client(1), source);
    source.all.head(head, 'miss');
    source.send(10);
    expect(source.paused).toBe(true);
    const quick = join(sharing, new Client(), source);
    expect(source.paused).toBe(false);
    source.send(20);
    source.all.end();
    expect(quick.events.at(-1)).toBe('end');
    expect(slow.bytes).toBe(10);
    expect(sharing.heldBytes()).toBe(20);
    slow.takes(Infinity);
    expect(slow.events.at(-1)).toBe('end');
    expect(sharing.heldBytes()).toBe(0);
  });

  it('is told when asking itself goes wrong, and the next one asks anew', () => {
    const sharing = createSharing();
    const client = new Client();
    sharing.join('key', client, never);
    expect(client.events).toEqual([expect.objectContaining({ code: 'internal' })]);
    const source = new Source();
    join(sharing, new Client(), source);
    expect(source.receiver).not.toBeNull();
  });

  it('hears nothing after it has left, even when another’s failure made it leave', () => {
    const sharing = createSharing();
    const source = new Source();
    const second = new Client();
    class Friend extends Client {
      override fail(error: PromgateError): void {
        super.fail(error);
        second.asking?.abort();
      }
    }
    join(sharing, new Friend(), source);
    join(sharing, second, source);
    source.all.fail(failure);
    expect(second.events).toEqual([]);
    expect(source.aborted).toBe(0);
  });
});

describe('slow readers', () => {
  it('do not slow the others as long as there is room, hold them when there is none, and no longer than that', () => {
    const sharing = createSharing();
    const source = new Source();
    const quick = join(sharing, new Client(), source);
    const slow = join(sharing, new Client(1), source);
    source.all.head(head, 'miss');
    source.send(1);
    for (let i = 0; i < 8; i++) source.send(8 * MiB);
    expect(sharing.heldBytes()).toBe(held);
    expect(source.paused).toBe(false);
    source.send(1);
    expect(source.paused).toBe(true);
    expect(quick.bytes).toBe(held + 2);
    slow.takes(1);
    expect(source.paused).toBe(false);
    expect(sharing.heldBytes()).toBe(held - 8 * MiB + 1);
    quick.asking?.abort();
    slow.asking?.abort();
    expect(source.aborted).toBe(1);
    expect(sharing.heldBytes()).toBe(0);
  });

  it.each(['reads on', 'leaves'] as const)('hold nobody any more once another answer’s reader %s and makes room', (how) => {
    const sharing = createSharing();
    const [hog, source] = [new Source(), new Source()];
    const hogging = join(sharing, new Client(), hog, 'hog');
    const hoarder = join(sharing, new Client(1), hog, 'hog');
    hog.all.head(head, 'miss');
    hog.send(1);
    for (let i = 0; i < 8; i++) hog.send(8 * MiB);
    const quick = join(sharing, new Client(), source);
    join(sharing, new Client(1), source);
    source.all.head(head, 'miss');
    source.send(1);
    source.send(1);
    expect(source.paused).toBe(true);
    if (how === 'reads on') hoarder.takes(2);
    else hoarder.asking?.abort();
    expect(source.paused).toBe(false);
    source.send(5);
    expect(quick.bytes).toBe(7);
    expect(hogging.bytes).toBe(held + 1);
  });
});

/** What may happen. `who` and `which` are taken modulo how many there are. */
type Step =
  | { kind: 'join'; appetite: number; atOnce: readonly SourceStep[] }
  | { kind: 'leave' | 'leave at data' | 'resume'; who: number }
  | { kind: 'take'; who: number; appetite: number }
  | { kind: 'source'; which: number; step: SourceStep };
type SourceStep = { kind: 'head' | 'end' | 'fail' } | { kind: 'data'; bytes: number };

/** The same as plainly as can be: an answer is a list of chunks, and a reader has a place in it. */
interface Answer {
  readonly source: Source;
  readonly chunks: Buffer[];
  readonly readers: ReaderModel[];
  headed: boolean;
  joinable: boolean;
  state: 'running' | 'ended' | 'failed' | 'called off';
}
interface ReaderModel {
  readonly client: Client;
  readonly late: boolean;
  readonly events: Event[];
  next: number;
  appetite: number;
  paused: boolean;
  leavesAtData: boolean;
  /** It has its `Asking`; before, it cannot leave. */
  joined: boolean;
  over: boolean;
}

class Model {
  readonly sharing = createSharing();
  readonly answers: Answer[] = [];
  readonly readers: { answer: Answer; reader: ReaderModel }[] = [];

  held(): number {
    let sum = 0;
    for (const { chunks, joinable, readers } of this.answers) {
      const places = readers.filter(({ over }) => !over).map(({ next }) => next);
      const from = joinable ? 0 : Math.min(chunks.length, ...places);
      for (const { length } of chunks.slice(from)) sum += length;
    }
    return sum;
  }

  mustPause({ readers }: Answer): boolean {
    const reading = readers.filter(({ over }) => !over);
    return reading.every(({ paused }) => paused) || (reading.some(({ paused }) => paused) && this.held() > held);
  }

  step(step: Step): void {
    if (step.kind === 'join') {
      this.join(step.appetite, step.atOnce);
      return;
    }
    if (step.kind === 'source') {
      const running = this.answers.filter(({ state }) => state === 'running');
      const answer = running[step.which % running.length];
      if (answer !== undefined) this.sourceStep(answer, step.step);
      return;
    }
    const { answer, reader } = this.readers[step.who % this.readers.length] ?? {};
    if (answer === undefined || reader === undefined) return;
    const { client } = reader;
    if (step.kind === 'take') {
      if (!reader.paused || reader.over) return;
      reader.paused = false;
      reader.appetite = step.appetite;
      deliver(answer, reader);
      callOff(answer);
      client.takes(step.appetite);
    } else if (step.kind === 'leave') {
      reader.over = true;
      callOff(answer);
      client.asking?.abort();
    } else if (step.kind === 'leave at data') {
      reader.leavesAtData = true;
      client.leavesAtData = true;
    } else if (!reader.paused) {
      // Without need.
      client.asking?.resume();
    }
  }

  join(appetite: number, atOnce: readonly SourceStep[]): void {
    const known = this.answers.find(({ joinable }) => joinable);
    const answer: Answer = known ?? {
      source: new Source(),
      chunks: [],
      readers: [],
      headed: false,
      joinable: true,
      state: 'running',
    };
    const reader: ReaderModel = {
      client: new Client(appetite),
      late: known !== undefined,
      events: [],
      next: 0,
      appetite,
      paused: false,
      leavesAtData: false,
      joined: false,
      over: false,
    };
    answer.readers.push(reader);
    this.readers.push({ answer, reader });
    if (known === undefined) this.answers.push(answer);
    if (answer.headed) {
      reader.events.push('coalesced');
      deliver(answer, reader);
    }
    reader.client.asking = this.sharing.join('key', reader.client, (receiver) => {
      expect(known).toBeUndefined();
      answer.source.receiver = receiver;
      for (const step of atOnce) this.sourceStep(answer, step);
      return answer.source;
    });
    reader.joined = true;
  }

  sourceStep(answer: Answer, step: SourceStep): void {
    const { source, readers, chunks } = answer;
    if (answer.state !== 'running') return;
    const reading = readers.filter(({ over }) => !over);
    if (step.kind === 'fail') {
      answer.state = 'failed';
      answer.joinable = false;
      for (const reader of reading) {
        reader.over = true;
        reader.events.push(failure);
      }
      source.all.fail(failure);
    } else if (!answer.headed) {
      answer.headed = true;
      for (const { events, late } of reading) events.push(late ? 'coalesced' : 'miss');
      source.all.head(head, 'miss');
    } else if (step.kind === 'end') {
      answer.state = 'ended';
      answer.joinable = false;
      for (const reader of reading) deliver(answer, reader);
      source.all.end();
    } else if (step.kind === 'data') {
      const chunk = memory.subarray(chunks.length, chunks.length + step.bytes);
      chunks.push(chunk);
      const received = chunks.reduce((sum, { length }) => sum + length, 0);
      if (received > joinable || this.held() > held) answer.joinable = false;
      for (const reader of reading) deliver(answer, reader);
      callOff(answer);
      source.paused = !source.all.data(chunk);
      if (answer.state === 'running') expect(source.paused).toBe(this.mustPause(answer));
    }
  }

  /** What is wrong, if anything. */
  trouble(): string | null {
    if (this.sharing.heldBytes() !== this.held()) return 'bytes held';
    for (const { reader } of this.readers) if (!areSame(reader.client.events, reader.events)) return 'what a reader got';
    for (const answer of this.answers) {
      const { source, state } = answer;
      if (source.aborted !== (state === 'called off' ? 1 : 0)) return 'called off';
      if (source.paused && state === 'running' && !this.mustPause(answer)) return 'paused without need';
    }
    return null;
  }
}

function deliver({ chunks, state }: Answer, reader: ReaderModel): void {
  while (!reader.over && !reader.paused) {
    const chunk = chunks[reader.next];
    if (chunk === undefined) {
      if (state !== 'ended') return;
      reader.over = true;
      reader.events.push('end');
      return;
    }
    reader.next++;
    reader.events.push(chunk);
    if (--reader.appetite <= 0) reader.paused = true;
    if (reader.leavesAtData && reader.joined) reader.over = true;
  }
}

/** Nobody is left. */
function callOff(answer: Answer): void {
  if (answer.state !== 'running' || answer.readers.some(({ over }) => !over)) return;
  answer.state = 'called off';
  answer.joinable = false;
}

/** By identity: they are long. */
function areSame(a: readonly Event[], b: readonly Event[]): boolean {
  return a.length === b.length && a.every((event, i) => event === b[i]);
}

const appetite = fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1, max: 3 }));
const bytes = fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(joinable / 2, joinable, 8 * MiB, 32 * MiB));
const sourceStep: fc.Arbitrary<SourceStep> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('head') }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('data'), bytes }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('end', 'fail') }) },
);
const who = fc.nat({ max: 20 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('join'), appetite, atOnce: fc.constant([]) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('join'), appetite, atOnce: fc.array(sourceStep, { maxLength: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('leave', 'leave at data', 'resume'), who }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('take'), who, appetite }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('source'), which: who, step: sourceStep }) },
);

describe('whatever happens in whatever order', () => {
  it('each reader gets the answer as if alone, nothing is asked or held for nobody, and the pace is that of the quickest', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 80, size: 'max' }), (steps) => {
        const model = new Model();
        for (const step of steps) {
          model.step(step);
          expect(model.trouble()).toBeNull();
          if (model.held() > held) seen.add('no room');
          for (const { state } of model.answers) seen.add(state);
        }
        for (const { reader } of model.readers) reader.client.asking?.abort();
        expect(model.sharing.heldBytes()).toBe(0);
      }),
      { numRuns: 250 },
    );
    // What the test is about did happen.
    expect([...seen].sort()).toEqual(['called off', 'ended', 'failed', 'no room', 'running']);
  });
});
