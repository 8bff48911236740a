/** Why a verified JWT opens nothing, for the log: rules that are almost right are hard to find otherwise. */
import type { WorkloadRule } from '../config/identity.ts';
import { type Claims, claimAt } from './claims.ts';
import { applyRule, type OpenedName, textOf } from './workload-rules.ts';

/** Characters of a value, and elements of a list, that are shown. */
const MAX_VALUE = 100;
const MAX_LIST = 10;

/** Of one rule; `rule` counts from 1. No claim is here but those that the rule names. */
export type Miss =
  | { readonly rule: number; readonly claim: string; readonly wants: readonly string[]; readonly has: Shown }
  /** `opens` as configured: the claim is missing in it, or is no text that may stand there. */
  | { readonly rule: number; readonly opens: string; readonly claim: string; readonly has: Shown }
  /** `opens` with its claims put in: there is no such thing. */
  | { readonly rule: number; readonly opens: string; readonly missing: true };

/** A claim's value, cut; `null`: there is none, or it is nothing that a rule could name. */
type Shown = string | readonly string[] | null;

/** One of each rule, for claims with which none of them opens anything. */
export function missesOf(rules: readonly WorkloadRule[], claims: Claims): Miss[] {
  return rules.map((each, index): Miss => {
    const rule = index + 1;
    const outcome = applyRule(each, claims);
    if ('name' in outcome) return { rule, opens: cut(written(outcome.name)), missing: true };
    const { claim, wants } = outcome;
    const has = shown(claimAt(claims, claim));
    return wants === null ? { rule, opens: each.opens, claim, has } : { rule, claim, wants, has };
  });
}

function written({ path, environment }: OpenedName): string {
  return environment === null ? path : `${path}:${environment.text}`;
}

function shown(value: unknown): Shown {
  if (Array.isArray(value)) return value.slice(0, MAX_LIST).flatMap((each) => cutText(each) ?? []);
  return cutText(value);
}

function cutText(value: unknown): string | null {
  const text = textOf(value);
  return text === null ? null : cut(text);
}

function cut(text: string): string {
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}
