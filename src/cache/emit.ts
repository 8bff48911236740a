/** An answer that we make → whoever asked: piece by piece, at the reader's pace, and letting others in between. */
import { internalError, type PromgateError } from '../errors.ts';
import type { Asking } from '../upstream/ask.ts';
import { type AnswerReceiver, type CacheResult, headOf } from './answer.ts';

export interface Emitted {
  /** Each chunk is made when it is asked for. */
  readonly chunks: Generator<Buffer, { readonly savedPoints: number }>;
  readonly contentType: string;
  readonly from: CacheResult;
  /** Most bytes of the whole answer, and the error where it has more. */
  readonly maxBytes: number;
  readonly tooLarge: () => PromgateError;
  readonly onEnd: (savedPoints: number) => void;
}

/** Hands the answer over; all of it at once where it is one chunk, and then its length is told beforehand. */
export function emit(answer: Emitted, receiver: AnswerReceiver): Asking {
  const emission = new Emission(answer, receiver);
  emission.begin();
  return emission;
}

class Emission implements Asking {
  readonly #answer: Emitted;
  readonly #receiver: AnswerReceiver;
  #sent = 0;
  #waiting = false;
  #over = false;

  constructor(answer: Emitted, receiver: AnswerReceiver) {
    this.#answer = answer;
    this.#receiver = receiver;
  }

  begin(): void {
    const { contentType, from } = this.#answer;
    const first = this.#make();
    const second = first?.done === false ? this.#make() : first;
    if (first === null || second === null) return;
    const length = second.done && !first.done ? first.value.length : null;
    if (this.#isTooLarge((first.done ? 0 : first.value.length) + (second.done ? 0 : second.value.length))) return;
    this.#receiver.head(headOf(contentType, length), from);
    const flowing = first.done || this.#give(first.value);
    if (second.done) this.#end(second.value.savedPoints);
    else if (flowing) this.#later(() => this.#goOn(second.value));
    else this.#next = second.value;
  }

  abort(): void {
    this.#over = true;
  }

  resume(): void {
    if (!this.#waiting) this.#later(() => this.#goOn(null));
  }

  /** Made, but not wanted yet. */
  #next: Buffer | null = null;

  #goOn(made: Buffer | null): void {
    const chunk = made ?? this.#next;
    this.#next = null;
    if (chunk !== null && !this.#give(chunk)) return;
    if (this.#over) return;
    const next = this.#make();
    if (next === null) return;
    const { done, value } = next;
    if (done) this.#end(value.savedPoints);
    else if (!this.#isTooLarge(value.length)) this.#later(() => this.#goOn(value));
  }

  /** `null`: there was nothing to make it of, and the receiver was told. */
  #make(): IteratorResult<Buffer, { readonly savedPoints: number }> | null {
    try {
      return this.#answer.chunks.next();
    } catch (error) {
      this.#over = true;
      this.#receiver.fail(internalError(error));
      return null;
    }
  }

  /** Others' turn first. */
  #later(work: () => void): void {
    this.#waiting = true;
    setImmediate(() => {
      this.#waiting = false;
      if (this.#over) return;
      try {
        work();
      } catch (error) {
        // Nobody above would hear of it: the process would end.
        this.#over = true;
        this.#receiver.fail(internalError(error));
      }
    });
  }

  #give(chunk: Buffer): boolean {
    if (chunk.length === 0) return true;
    this.#sent += chunk.length;
    return this.#receiver.data(chunk);
  }

  #isTooLarge(more: number): boolean {
    if (this.#sent + more <= this.#answer.maxBytes) return false;
    this.#over = true;
    this.#receiver.fail(this.#answer.tooLarge());
    return true;
  }

  #end(savedPoints: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#answer.onEnd(savedPoints);
    this.#receiver.end();
  }
}
