const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Finds where a bracketed stretch of JSON ends. Goes on where it stopped when more of it has come: no byte is looked at twice. */
export class BracketEnd {
  #seen = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /**
   * The offset behind the bracket that closes the one at `at`; -1 where it is not there yet. Then the next call is about the
   * same stretch, wherever it is by then.
   */
  find(bytes: Buffer, at: number, end: number): number {
    let i = at + this.#seen;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    for (; i < end; i++) {
      const byte = bytes[i] ?? 0;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === QUOTE) inString = false;
        else if (byte === BACKSLASH) escaped = true;
      } else if (byte === QUOTE) {
        inString = true;
      } else if ((byte | 0x20) === 0x7b) {
        depth += 1;
      } else if ((byte | 0x20) === 0x7d) {
        depth -= 1;
        if (depth === 0) {
          this.#seen = 0;
          this.#depth = 0;
          this.#inString = false;
          return i + 1;
        }
      }
    }
    this.#seen = i - at;
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    return -1;
  }
}
