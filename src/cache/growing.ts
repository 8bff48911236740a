/** Memory that is written from front to back, and that doubles when it is full. */
import { copyBytes } from './copy-bytes.ts';

const fewNumbers = 256;

export class GrowingBytes {
  #buffer: Buffer = Buffer.allocUnsafe(0);
  length = 0;

  /** Written up to `length`. The next `append` or `reserve` may put other memory in its place. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  /** Makes room for `count` more. */
  reserve(count: number): void {
    const length = this.length + count;
    if (length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.length);
    this.#buffer = larger;
  }

  /** Writes `source[start, end)` behind what is there. */
  append(source: Buffer, start: number, end: number): void {
    this.reserve(end - start);
    copyBytes(source, start, end, this.#buffer, this.length);
    this.length += end - start;
  }

  /** Forgets what was written, and its memory. */
  clear(): void {
    this.#buffer = Buffer.allocUnsafe(0);
    this.length = 0;
  }
}

/** Numbers of 32 bits. */
export class GrowingNumbers {
  #values = new Uint32Array(0);
  length = 0;

  /** Written up to `length`. The next `reserve` may put other memory in its place. */
  get values(): Uint32Array {
    return this.#values;
  }

  /** Makes room for `count` more; the caller writes them into `values`. */
  reserve(count: number): void {
    const length = this.length + count;
    if (length <= this.#values.length) return;
    const larger = new Uint32Array(Math.max(length, 2 * this.#values.length, fewNumbers));
    larger.set(this.#values.subarray(0, this.length));
    this.#values = larger;
  }

  /** Forgets what was written, and its memory. */
  clear(): void {
    this.#values = new Uint32Array(0);
    this.length = 0;
  }
}
