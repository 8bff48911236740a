/** From here on the call into Node is worth its price; measured. */
const few = 32;

/** Copies `source[start, end)` to `target[at]`, where there is room for it. */
export function copyBytes(source: Buffer, start: number, end: number, target: Buffer, at: number): void {
  if (end - start >= few) {
    source.copy(target, at, start, end);
    return;
  }
  for (let from = start, to = at; from < end; from++, to++) target[to] = source[from] ?? 0;
}
