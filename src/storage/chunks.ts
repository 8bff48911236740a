/** Well below what both databases take as parameters of one statement (SQLite 32,766, PostgreSQL 65,535). */
const chunkSize = 1_000;

/** `items` cut into pieces that fit one statement. */
export function* chunks<T>(items: Iterable<T>): Generator<T[]> {
  const all = [...items];
  for (let start = 0; start < all.length; start += chunkSize) yield all.slice(start, start + chunkSize);
}

/** All rows that `read` gives for `ids`, asked in chunks. Ids without a row are left out; the order is not that of `ids`. */
export async function rowsByIds<T>(ids: Iterable<number>, read: (ids: number[]) => Promise<T[]>): Promise<T[]> {
  const found: T[][] = [];
  for (const chunk of chunks(ids)) found.push(await read(chunk));
  return found.flat();
}
