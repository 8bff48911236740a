/** Where the pieces of range answers are: in this process, and where there is one in the memory that processes share. */
import type { Binding } from '../upstream/binding.ts';
import type { RangePlan } from './cacheable.ts';
import { addMissing, type Coverage, coverage, insertPiece, sizeOf } from './extents.ts';
import type { Piece } from './piece.ts';
import type { CacheRules } from './policy.ts';
import type { SharedTier } from './shared-tier.ts';
import { cutPiece } from './slice.ts';
import { type Extents, type Store, sizeBeside } from './store.ts';

export interface RangeKeeper {
  /** Most bytes that may be kept of one query. */
  readonly largest: number;
  /** What there is of the plan's span in this process. */
  look(plan: RangePlan, rules: CacheRules): Coverage;
  /** What there is with the shared memory's part; `null`: that would spare no question. Never rejects. */
  askShared(plan: RangePlan, rules: CacheRules, found: Coverage): Promise<Coverage> | null;
  /** Keeps what of a piece cannot change any more. */
  keep(plan: RangePlan, binding: Pick<Binding, 'cache' | 'server'>, piece: Piece, told: Told): void;
  /** What was kept proved wrong: it is replaced. */
  replace(plan: RangePlan, binding: Pick<Binding, 'cache' | 'server'>, piece: Piece, told: Told): void;
}

/** What an answer's head told. */
export interface Told {
  /** The server's time when it was asked, in Unix milliseconds. */
  readonly serverTime: number;
  /** VictoriaMetrics moves start and end to multiples of the step, from 50 points on: few points tell nothing of more. */
  readonly roundsTimes: boolean;
}

/** A gap of less than this part of what is asked is cheaper asked of the server, which has to be asked anyway for what is recent. */
const SMALL_GAP = 0.1;
/** An entry is written to the shared memory again when it has grown by this factor, or after this time (ms) if it has at all. */
const GROWN = 1.1;
const WRITE_INTERVAL = 60_000;

export function createRangeKeeper(store: Store, tier: SharedTier | null): RangeKeeper {
  const piecesOf = (key: string): readonly Piece[] => extentsOf(store, key)?.pieces ?? [];

  function look(plan: RangePlan, { maxAge }: CacheRules): Coverage {
    return coverage(piecesOf(plan.key), plan.span, Date.now() - maxAge);
  }

  function askShared(plan: RangePlan, rules: CacheRules, found: Coverage): Promise<Coverage> | null {
    if (tier === null) return null;
    const settled = lastSettled(plan, Date.now());
    const points = (first: number, last: number) => Math.max(0, last - first + 1);
    const asked = points(plan.span.first, plan.span.last);
    const missing = found.gaps.reduce((sum, { first, last }) => sum + points(first, Math.min(last, settled)), 0);
    const sparesAll = plan.span.last <= settled;
    if (missing === 0 || (!sparesAll && missing < SMALL_GAP * asked)) return null;
    return tier.get(plan.key).then((all) => {
      const now = Date.now();
      const since = now - rules.maxAge;
      // Whoever wrote it may have other rules.
      const shared = all?.filter(({ fetchedAt }) => fetchedAt > since) ?? [];
      if (shared.length === 0) return found;
      let pieces: readonly Piece[] = piecesOf(plan.key).filter(({ fetchedAt }) => fetchedAt > since);
      for (const piece of shared) pieces = addMissing(pieces, piece);
      put(plan.key, pieces, { points: pointsOf(shared), at: now, until: expiryOf(shared, rules.maxAge) });
      return coverage(pieces, plan.span, since);
    });
  }

  function keep(plan: RangePlan, binding: Pick<Binding, 'cache' | 'server'>, piece: Piece, told: Told): void {
    const settled = settledPart(plan, binding, piece, told);
    if (settled === null) return;
    const { key } = plan;
    const { maxAge } = binding.cache;
    const since = Date.now() - maxAge;
    const known = piecesOf(key).filter(({ fetchedAt }) => fetchedAt > since);
    share(key, put(key, insertPiece(known, settled), extentsOf(store, key)?.shared ?? null), maxAge);
  }

  function replace(plan: RangePlan, binding: Pick<Binding, 'cache' | 'server'>, piece: Piece, told: Told): void {
    const settled = settledPart(plan, binding, piece, told);
    store.delete(plan.key);
    if (settled !== null) share(plan.key, put(plan.key, [settled], null), binding.cache.maxAge);
    else tier?.set(plan.key, [], 1);
  }

  function put(key: string, pieces: readonly Piece[], shared: Extents['shared']): Extents {
    let kept = [...pieces];
    // What was fetched first goes first; what was just fetched stays if it fits at all.
    const room = store.largest - sizeBeside(key);
    while (kept.length > 1 && sizeOf(kept) > room) {
      const oldest = kept.reduce((a, b) => (b.fetchedAt < a.fetchedAt ? b : a));
      kept = kept.filter((piece) => piece !== oldest);
    }
    const entry: Extents = { kind: 'range', pieces: kept, shared };
    store.set(key, entry);
    return entry;
  }

  function share(key: string, { pieces, shared }: Extents, maxAge: number): void {
    if (tier === null) return;
    const points = pointsOf(pieces);
    const now = Date.now();
    if (shared !== null && now < shared.until && points < GROWN * shared.points) {
      if (points <= shared.points || now - shared.at < WRITE_INTERVAL) return;
    }
    const until = expiryOf(pieces, maxAge);
    tier.set(key, pieces, Math.max(1, until - now));
    put(key, pieces, { points, at: now, until });
  }

  return { largest: store.largest, look, askShared, keep, replace };
}

function extentsOf(store: Store, key: string): Extents | null {
  const entry = store.get(key);
  return entry?.kind === 'range' ? entry : null;
}

/** The last point that cannot change any more at a time in Unix milliseconds. */
function lastSettled({ grid, settling }: RangePlan, at: number): number {
  return Math.floor((at - settling - grid.phase) / grid.step);
}

function settledPart(
  plan: RangePlan,
  { server }: Pick<Binding, 'server'>,
  piece: Piece,
  { serverTime, roundsTimes }: Told,
): Piece | null {
  if (serverTime < plan.settledFrom) return null;
  const isVictoriaMetrics = roundsTimes || server.kind === 'victoriametrics';
  if (isVictoriaMetrics && (plan.grid.phase !== 0 || plan.rangedOnVictoriaMetrics)) return null;
  const last = Math.min(piece.last, lastSettled(plan, serverTime));
  return last < piece.first ? null : cutPiece(piece, { first: piece.first, last });
}

/** When the first of them is too old, in Unix milliseconds. */
function expiryOf(pieces: readonly Piece[], maxAge: number): number {
  return pieces.reduce((least, { fetchedAt }) => Math.min(least, fetchedAt), Number.POSITIVE_INFINITY) + maxAge;
}

function pointsOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}
