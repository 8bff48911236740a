/** Memory that is written from front to back, of a length that is not known beforehand. */
import { copyBytes } from './copy-bytes.ts';

/** Blocks grow up to this size: what was written is not copied again and again, which for much of it would take milliseconds. */
const mostBlock = 1024 * 1024;
const fewNumbers = 256;

export class GrowingBytes {
  /** Full ones, and the one that is written to. */
  #blocks: Buffer[] = [];
  #block: Buffer = Buffer.allocUnsafe(0);
  #used = 0;
  length = 0;

  /** Says that `count` bytes more may come, which will then lie in one block; it is no matter where they do not. */
  expect(count: number): void {
    if (this.length === 0 && this.#block.length < count) this.#block = Buffer.allocUnsafe(count);
  }

  /** Writes `source[start, end)` behind what is there. */
  append(source: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#used === this.#block.length) this.#nextBlock(end - at);
      const length = Math.min(end - at, this.#block.length - this.#used);
      copyBytes(source, at, at + length, this.#block, this.#used);
      this.#used += length;
      at += length;
    }
    this.length += end - start;
  }

  /** Puts another byte in the place of the last one. */
  replaceLast(byte: number): void {
    this.#block[this.#used - 1] = byte;
  }

  /** Copies everything to the beginning of `target`. */
  copyTo(target: Buffer): void {
    let at = 0;
    for (const block of this.#blocks) at += block.copy(target, at);
    this.#block.copy(target, at, 0, this.#used);
  }

  /** Forgets what was written, and its memory. */
  clear(): void {
    this.#blocks = [];
    this.#block = Buffer.allocUnsafe(0);
    this.#used = 0;
    this.length = 0;
  }

  #nextBlock(atLeast: number): void {
    if (this.#used > 0) this.#blocks.push(this.#block);
    this.#block = Buffer.allocUnsafe(Math.max(atLeast, Math.min(this.length, mostBlock)));
    this.#used = 0;
  }
}

/** Numbers of 32 bits. Twice the memory where it is full: they are few beside the bytes. */
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
