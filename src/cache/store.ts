/** What is kept in this process: one memory for all, bounded by bytes; what was not looked at for longest goes first. */
import { setImmediate as turn } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Piece } from './piece.ts';
import { pieceSize } from './slice.ts';

/** A whole answer, as the server sent it. */
export interface WholeAnswer {
  readonly kind: 'whole';
  readonly body: Buffer;
  readonly contentType: string;
  /** Unix milliseconds. */
  readonly fetchedAt: number;
}

/** Pieces of a range answer, in order, without overlap. */
export interface Extents {
  readonly kind: 'range';
  readonly pieces: readonly Piece[];
  /** What the memory that processes share has of it; `null`: nothing that we know of. */
  readonly shared: SharedCopy | null;
}

/** Times are Unix milliseconds. */
export interface SharedCopy {
  readonly points: number;
  /** When it was read or written. */
  readonly at: number;
  /** When it goes. */
  readonly until: number;
}

export type Entry = WholeAnswer | Extents;

export interface Store {
  get(key: string): Entry | undefined;
  /** Takes the place of what was there. What is too large is not kept, and what was there goes all the same. */
  set(key: string, entry: Entry): void;
  delete(key: string): void;
  /**
   * Forgets the keys for which `isGone` says so, some at a time, with others' turns in between. It may miss some where much happens
   * meanwhile: they leave with age.
   */
  sweep(isGone: (key: string) => boolean): Promise<void>;
  readonly bytes: number;
  readonly entries: number;
  /** Most bytes that one entry may have; 0: nothing is kept. */
  readonly largest: number;
}

/** Of the memory, for one entry: a single large answer must not drive out all others. */
const SHARE = 16;
/** Bytes of an entry beside its key and its buffers: the map's slot, the list's links, the objects. Measured. */
const OVERHEAD = 400;

/** Entries that are swept before others get their turn: about a millisecond. */
const AT_ONCE = 500;

/** `memory` in bytes. */
export function createStore(memory: number): Store {
  const largest = Math.floor(memory / SHARE);
  const entries = new LRUCache<string, Entry>({
    maxSize: Math.max(1, memory),
    maxEntrySize: Math.max(1, largest),
    sizeCalculation: (entry, key) => sizeBeside(key) + bytesOf(entry),
  });
  return {
    get: (key) => entries.get(key),
    set: (key, entry) => void entries.set(key, entry),
    delete: (key) => void entries.delete(key),
    async sweep(isGone) {
      // What is looked at meanwhile moves to where the list begins, and may take this along.
      let left = entries.size;
      for (const key of entries.keys()) {
        if (isGone(key)) entries.delete(key);
        if (--left === 0) return;
        if (left % AT_ONCE === 0) await turn();
      }
    },
    get bytes() {
      return entries.calculatedSize;
    },
    get entries() {
      return entries.size;
    },
    largest,
  };
}

/** Bytes of an entry beside its buffers. */
export function sizeBeside(key: string): number {
  return OVERHEAD + 2 * key.length;
}

function bytesOf(entry: Entry): number {
  if (entry.kind === 'whole') return entry.body.buffer.byteLength;
  return entry.pieces.reduce((sum, piece) => sum + pieceSize(piece), 0);
}
