import type { Piece } from './piece.ts';

/** What a piece consists of beside its envelope. */
export type PieceMemory = Pick<Piece, 'series' | 'index' | 'bytes'>;

/** The three arrays of a piece in one block of memory of exactly their size; what is in it is not defined. */
export function pieceMemory(seriesNumbers: number, indexNumbers: number, bytes: number): PieceMemory {
  const numbers = 4 * (seriesNumbers + indexNumbers);
  // Not of Node's pool, which would keep 8 KiB alive for each.
  const { buffer } = Buffer.allocUnsafeSlow(numbers + bytes);
  return {
    series: new Uint32Array(buffer, 0, seriesNumbers),
    index: new Uint32Array(buffer, 4 * seriesNumbers, indexNumbers),
    bytes: Buffer.from(buffer, numbers, bytes),
  };
}
