/**
 * Answers at once: what is kept is given without asking, what is being asked is asked once, and only what is new is asked of the
 * server. Whoever comes here may have the answer: access was looked at before. What cannot be kept, or goes wrong here, costs time
 * and never the answer.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Directory } from '../directory/snapshot.ts';
import type { Log } from '../ops/log.ts';
import type { Asking } from '../upstream/ask.ts';
import type { Binding } from '../upstream/binding.ts';
import { type AnswerReceiver, received } from './answer.ts';
import { createBudget } from './budget.ts';
import { planOf } from './cacheable.ts';
import { createHeld } from './held.ts';
import { policyOf } from './policy.ts';
import { answerFrom, fetchRange, type RangeParts } from './range.ts';
import { createRangeKeeper } from './range-keeper.ts';
import { createShadow } from './shadow.ts';
import { createSharing } from './share.ts';
import type { SharedTier } from './shared-tier.ts';
import type { Question } from './source.ts';
import { createStore } from './store.ts';
import { answerWhole, fetchWhole, lookWhole } from './whole.ts';

export interface Cache {
  /** Answers a question. `gzip`: whether the client takes it. What is kept, or may be, comes as it is, never encoded. */
  ask(question: Question, gzip: boolean, receiver: AnswerReceiver): Asking;
  /** Frees what can never be looked at again because a server's record is another one now, or it was purged. */
  refresh(directory: Pick<Directory, 'servers' | 'purges' | 'generation'>): void;
  /** Bytes and entries that are kept. */
  size(): { readonly bytes: number; readonly entries: number };
}

export interface CacheParts {
  /** Bytes; 0: nothing is kept. */
  readonly memory: number;
  /** The part of the answers from the cache that the server is asked for, too, and compared with. */
  readonly shadow: () => number;
  /** `null`: none. */
  readonly tier: SharedTier | null;
  readonly log: Log;
  /** Points that the server was not asked for. */
  readonly saved: (points: number) => void;
  readonly compared: (result: 'match' | 'mismatch' | 'skipped') => void;
}

/** Milliseconds between two sweeps of the memory. What they free is out of reach already, and whoever may purge can do it often. */
const SWEEP_PAUSE = 5_000;

/** Of which it is known when they are gone; what is kept under others leaves with age. */
const MOST_POLICIES = 2_000;

/**
 * Bytes for answers that are looked at on their way, and as many for what slow readers hold of those that are made here: half of the
 * memory, or at least this.
 */
const LEAST_BUDGET = 16 * 1024 * 1024;

export function createCache(parts: CacheParts): Cache {
  const store = createStore(parts.memory);
  const keeper = createRangeKeeper(store, parts.tier);
  const sharing = createSharing();
  /** Those under which something may be kept. */
  const policies = new LRUCache<string, Binding>({ max: MOST_POLICIES });
  const budget = createBudget(Math.max(LEAST_BUDGET, parts.memory / 2));
  const shadow = createShadow({ store, keeper, budget, rate: parts.shadow, log: parts.log, compared: parts.compared });
  const askPart: RangeParts['askPart'] = (question, parameters, receiver) =>
    sharing.join(flightOf(question, parameters, false), receiver, (all) =>
      question.source(parameters, false, received(all, 'miss')),
    );
  const held = createHeld(Math.max(LEAST_BUDGET, parts.memory / 2));
  const rangeParts = { keeper, budget, askPart, held, saved: parts.saved };

  function ask(question: Question, gzip: boolean, receiver: AnswerReceiver): Asking {
    const { asked, binding, source } = question;
    const { policy, cache: rules } = binding;
    const plan = store.largest === 0 ? null : planOf(asked, binding, Date.now());
    if (plan !== null && policies.get(policy) !== binding) policies.set(policy, binding);
    const flight = flightOf(question, asked.parameters, gzip && plan === null);
    if (plan === null) {
      return sharing.join(flight, receiver, (all) => source(asked.parameters, gzip, received(all, 'bypass')));
    }
    if (plan.kind === 'whole') {
      const kept = lookWhole(store, plan);
      if (kept === null) return sharing.join(flight, receiver, (all) => fetchWhole(plan, question, all, store, budget));
      shadow.whole(plan, question, kept);
      return answerWhole(kept, question, receiver, held);
    }
    const found = keeper.look(plan, rules);
    if (found.gaps.length > 0) {
      if (found.parts.length > 0) shadow.range(plan, question, found.parts);
      return sharing.join(flight, receiver, (all) => fetchRange(plan, question, found, all, rangeParts));
    }
    shadow.range(plan, question, found.parts);
    return answerFrom(found.parts, question, 'hit', receiver, rangeParts);
  }

  let generation = -1;
  function refresh(directory: Pick<Directory, 'servers' | 'purges' | 'generation'>): void {
    if (policies.size === 0 || directory.generation === generation) return;
    generation = directory.generation;
    const revisions = new Map(directory.servers().map(({ id, revision }) => [id, revision]));
    for (const [policy, binding] of policies) {
      const { id, revision } = binding.server;
      if (revisions.get(id) === revision && policyOf(binding, binding.cache, directory.purges) === policy) continue;
      gone.add(policy);
      policies.delete(policy);
    }
    void sweep();
  }

  const gone = new Set<string>();
  let sweeping = false;
  async function sweep(): Promise<void> {
    if (sweeping) return;
    sweeping = true;
    while (gone.size > 0) {
      const policies = new Set(gone);
      gone.clear();
      await store.sweep((key) => policies.has(key.slice(0, key.indexOf(' '))));
      await delay(SWEEP_PAUSE, undefined, { ref: false });
    }
    sweeping = false;
  }

  return {
    ask,
    refresh,
    size: () => ({ bytes: store.bytes, entries: store.entries }),
  };
}

/** What is asked of which server, in which form: who asks the same may share the answer. */
function flightOf({ asked, binding }: Question, parameters: string, gzip: boolean): string {
  return `${gzip ? 'gzip' : 'plain'} ${binding.policy} ${asked.path} ${parameters}`;
}
