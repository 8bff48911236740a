/** Well below what both databases take as parameters of one statement (SQLite 32,766, PostgreSQL 65,535). */
const chunkSize = 1_000;

/** `items` cut into pieces that fit one statement. */
export function* chunks<T>(items: Iterable<T>): Generator<T[]> {
  const all = [...items];
  for (let start = 0; start < all.length; start += chunkSize) yield all.slice(start, start + chunkSize);
}

/** The rows that `query` gives for all `items`, asked in chunks. */
export async function inChunks<T, R>(items: Iterable<T>, query: (items: T[]) => Promise<R[]>): Promise<R[]> {
  const rows: R[][] = [];
  for (const chunk of chunks(items)) rows.push(await query(chunk));
  return rows.flat();
}
