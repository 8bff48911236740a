/** What the rules of a token issuer open to a program, by the claims of its verified JWT. */
import type { WorkloadRule } from '../config/identity.ts';
import type { Target } from '../directory/model.ts';
import { environmentNameProblem, groupPathProblem, projectPathProblem } from '../directory/paths.ts';
import { scopeFit } from '../directory/resolve.ts';
import { environmentSlug } from '../directory/slug.ts';
import type { Directory } from '../directory/snapshot.ts';
import { type Claims, claimAt, claimNameProblem } from './claims.ts';

/** What a rule opens, with the claims put in. Whether there is such a thing is up to the directory. */
export interface OpenedName {
  readonly path: string;
  /** By name or slug; `slug` is what the name would have. `null`: what `path` names. */
  readonly environment: { readonly text: string; readonly slug: string } | null;
  /** Whether `path` alone may name a group: only where no claim is part of it, or a claim's value would decide how much it opens. */
  readonly group: boolean;
}

/** What the rules that fit these claims open. A rule whose `opens` needs a claim that is missing or does not fit opens nothing. */
export function openedNames(rules: readonly WorkloadRule[], claims: Claims): OpenedName[] {
  return rules.flatMap((rule) => {
    const outcome = applyRule(rule, claims);
    return 'name' in outcome ? [outcome.name] : [];
  });
}

/** What a rule opens; or the first claim that does not fit it (`wants`), or that its `opens` needs and cannot use (`wants` is `null`). */
export type RuleOutcome = { readonly name: OpenedName } | { readonly claim: string; readonly wants: readonly string[] | null };

export function applyRule(rule: WorkloadRule, claims: Claims): RuleOutcome {
  for (const [claim, wants] of Object.entries(rule.claims)) {
    if (!hasOne(claimAt(claims, claim), wants)) return { claim, wants };
  }
  const filled = fill(readTemplate(rule.opens), claims);
  return 'claim' in filled ? { claim: filled.claim, wants: null } : { name: filled };
}

/** What the name stands for at this moment, spelled exactly so; `null`: nothing. */
export function scopeOf(directory: Directory, { path, environment, group }: OpenedName): Target | null {
  if (environment === null) return directory.project(path) ?? (group ? directory.group(path) : null);
  // Two names may have one slug, and an environment is found by its id too: neither is what the rule says.
  const byName = directory.environment(path, environment.slug);
  if (byName?.level === 'environment' && byName.environment.name === environment.text) return byName;
  const bySlug = directory.environment(path, environment.text);
  return bySlug?.level === 'environment' && bySlug.environment.slug === environment.text ? bySlug : null;
}

/** Whether a claim, or one element of a list, fits one of the patterns, in which `*` stands for any characters. */
function hasOne(claim: unknown, patterns: readonly string[]): boolean {
  const values = (Array.isArray(claim) ? claim : [claim]).map(textOf);
  return values.some((value) => value !== null && patterns.some((pattern) => scopeFit(pattern, value) >= 0));
}

/** How a claim is written in a pattern; `null`: no pattern fits it. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return typeof value === 'boolean' || Number.isSafeInteger(value) ? String(value) : null;
}

/** A piece of a template: text as it stands, or the name of a claim whose value belongs there. */
type Piece = { readonly text: string } | ClaimPiece;

interface ClaimPiece {
  readonly claim: string;
}

interface Template {
  readonly path: readonly Piece[];
  readonly environment: readonly Piece[] | null;
}

/** `{{project_path}}:{{environment}}`, cut at the first colon that is in no claim's name. */
function readTemplate(opens: string): Template {
  const path: Piece[] = [];
  let environment: Piece[] | null = null;
  for (const [index, part] of opens.split(/\{\{\s*([^{}]*?)\s*\}\}/).entries()) {
    const into: Piece[] = environment ?? path;
    if (index % 2 === 1) {
      into.push({ claim: part });
      continue;
    }
    const colon: number = environment === null ? part.indexOf(':') : -1;
    if (colon < 0) {
      if (part !== '') into.push({ text: part });
      continue;
    }
    if (colon > 0) path.push({ text: part.slice(0, colon) });
    environment = colon + 1 < part.length ? [{ text: part.slice(colon + 1) }] : [];
  }
  return { path, environment };
}

function fill(template: Template, claims: Claims): OpenedName | ClaimPiece {
  const path = joined(template.path, claims);
  if (typeof path !== 'string') return path;
  if (template.environment === null) return { path, environment: null, group: isPlain(template.path) };
  const text = joined(template.environment, claims);
  return typeof text === 'string' ? { path, environment: { text, slug: environmentSlug(text) }, group: false } : text;
}

/**
 * The pieces with the values put in; or the claim that is missing or could change the shape of the whole: it has a colon, or it
 * has a slash and is not all there is on its side of the colon.
 */
function joined(pieces: readonly Piece[], claims: Claims): string | ClaimPiece {
  let all = '';
  for (const piece of pieces) {
    if ('text' in piece) {
      all += piece.text;
      continue;
    }
    const value = claimAt(claims, piece.claim);
    if (typeof value !== 'string' || value === '') return piece;
    if (value.includes(':') || (value.includes('/') && pieces.length > 1)) return piece;
    all += value;
  }
  return all;
}

function isPlain(pieces: readonly Piece[]): boolean {
  return pieces.every((piece) => 'text' in piece);
}

/** What is wrong with `opens`, or `null`. */
export function opensProblem(opens: string): string | null {
  if (opens === '') return 'must not be empty';
  const { path, environment } = readTemplate(opens);
  const pieces = [...path, ...(environment ?? [])];
  for (const piece of pieces) {
    if ('text' in piece && /\{\{|\}\}/.test(piece.text)) return 'has double braces that do not hold the name of a claim';
    const problem = 'claim' in piece ? claimNameProblem(piece.claim) : null;
    if (problem !== null) return `has braces whose content ${problem}`;
  }
  // Any value that may stand there will do to look at the rest.
  const sample = (side: readonly Piece[], value: string) => side.map((piece) => ('text' in piece ? piece.text : value)).join('');
  if (environment === null && isPlain(path)) return opens.includes('/') ? projectPathProblem(opens) : groupPathProblem(opens);
  const problem = projectPathProblem(sample(path, path.length === 1 ? 'x/x' : 'x'));
  if (problem !== null) return problem;
  const named = environment === null ? null : environmentNameProblem(sample(environment, 'x'));
  return named === null ? null : `names an environment that ${named}`;
}
