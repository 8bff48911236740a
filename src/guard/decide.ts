/**
 * May this be asked, and in what words: a query or selector → the text to send. What was decided is remembered, so a
 * query that was seen before costs one look-up; a new one on a shared server costs one more request to it.
 */
import { LRUCache } from 'lru-cache';
import type { Server } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import type { Expr } from '../promql/ast.ts';
import { check } from '../promql/check.ts';
import { PromqlError } from '../promql/error.ts';
import { parse } from '../promql/parse.ts';
import { print } from '../promql/print.ts';
import type { Binding } from '../upstream/binding.ts';
import type { AskServer } from '../upstream/collect.ts';
import { isObject, parseJson } from '../upstream/json.ts';
import { type Capabilities, discover, serverFailed } from './capabilities.ts';
import { confine, isBareSelector, selectorsOf, unconfinable } from './confine.ts';
import { checkDepth, checkNesting } from './limits.ts';
import type { Scope } from './scope.ts';
import { isConfined, readingOfText, readingOfTree } from './verify.ts';

/** `query` is any expression, `selector` what `match[]` takes. */
export type Form = 'query' | 'selector';

export interface Decision {
  /** What to send: confined, or as the client wrote it where the server confines nothing. */
  readonly text: string;
  /** The query as we read it, before confinement; `null` where only the server can read it. */
  readonly expr: Expr | null;
  /** Whose reading of the confined query was looked at last: the server's, or our own; `null`: it was not rewritten. */
  readonly verifiedBy: 'parse_query' | 'format_query' | 'local' | null;
}

export interface Guard {
  /**
   * Decides, at once where it is remembered. Throws or rejects with `bad_data` for what does not parse, `limit` for what
   * cannot be confined, `internal` where verification fails, and with what asking the server may fail with.
   */
  decide(binding: Binding, text: string, form: Form): Decision | Promise<Decision>;
  /** What the server can do; asked once for each server's record. */
  capabilities(binding: Binding): Capabilities | Promise<Capabilities>;
}

/** Bytes, roughly: texts count two for each character, trees about twenty. */
const MEMORY = 32 * 1024 * 1024;
const ENTRY = 400;
const TREE = 20;
/** Milliseconds that a server's capabilities are believed. */
const CAPABILITIES_AGE = 300_000;

export interface GuardParts {
  readonly ask: AskServer;
  /** Something that was about to be sent was not confined: a bug that must be seen. */
  readonly alarm: (reason: 'verification', binding: Binding) => void;
}

export function createGuard({ ask, alarm }: GuardParts): Guard {
  const remembered = new LRUCache<string, Decision | Promise<Decision>>({
    maxSize: MEMORY,
    sizeCalculation: (decision, key) => ENTRY + 2 * key.length + (decision instanceof Promise ? 0 : TREE * decision.text.length),
  });
  // Not for ever: a server may be replaced by another version at the same URL.
  const known = new LRUCache<string, Capabilities | Promise<Capabilities>>({ max: 10_000, ttl: CAPABILITIES_AGE });
  const identityOf = identities();

  /** Headers may lead to another server behind the same URL (`X-Scope-OrgID`), so they belong to the question. */
  function keyOf(binding: Binding): string {
    return `${identityOf(binding.server)} ${binding.headers.join(' ')}`;
  }

  function capabilities(binding: Binding): Capabilities | Promise<Capabilities> {
    const key = keyOf(binding);
    const before = known.get(key);
    if (before !== undefined) return before;
    const asking = discover(ask, binding);
    known.set(key, asking);
    asking.then(
      (found) => (found.shown ? known.set(key, found) : known.delete(key)),
      () => known.delete(key),
    );
    return asking;
  }

  function decide(binding: Binding, text: string, form: Form): Decision | Promise<Decision> {
    const key = `${identityOf(binding.server)} ${binding.scopeKey} ${form} ${text}`;
    const before = remembered.get(key);
    if (before !== undefined) return before;
    const { scope } = binding;
    if (scope === null) {
      const decision = { text, expr: tryRead(text, binding), verifiedBy: null };
      remembered.set(key, decision);
      return decision;
    }
    const working = decideConfined(binding, scope, text, form);
    remembered.set(key, working);
    working.then(
      // What goes on unread rests on what the server showed, and lapses with it.
      (decision) => remembered.set(key, decision, decision.expr === null ? { ttl: CAPABILITIES_AGE } : {}),
      () => remembered.delete(key),
    );
    return working;
  }

  async function decideConfined(binding: Binding, scope: Scope, text: string, form: Form): Promise<Decision> {
    const parameter = form === 'query' ? 'query' : 'match[]';
    let expr: Expr;
    try {
      expr = read(text, form);
    } catch (error) {
      if (!(error instanceof PromqlError)) throw error;
      checkNesting(error, binding.limits);
      // MetricsQL is more than PromQL; VictoriaMetrics itself confines it by the `extra_filters[]` that go with it.
      if ((await capabilities(binding)).confinesItself) return { text, expr: null, verifiedBy: null };
      throw new PromgateError('bad_data', `invalid parameter ${JSON.stringify(parameter)}: ${error.message}`, { cause: error });
    }
    const reason = unconfinable(expr);
    if (reason !== null) throw new PromgateError('limit', reason);
    checkDepth(expr, binding.limits);
    const confined = print(confine(expr, scope));
    const selectors = selectorsOf(expr).length;
    const own = tryReading(confined);
    if (own === null || !isConfined(own, scope, selectors)) throw unverified(binding);
    const reading = binding.server.verify === 'server' ? (await capabilities(binding)).reading : null;
    if (reading !== null && !(await serverAgrees(binding, scope, confined, selectors, reading))) throw unverified(binding);
    return { text: confined, expr, verifiedBy: reading ?? 'local' };
  }

  async function serverAgrees(
    binding: Binding,
    scope: Scope,
    confined: string,
    selectors: number,
    reading: 'parse_query' | 'format_query',
  ): Promise<boolean> {
    const { head, body } = await ask(binding, `/api/v1/${reading}`, `query=${encodeURIComponent(confined)}`).catch((error) => {
      // It told how it reads queries, and has no such endpoint now: another server by the look of it.
      if (!(error instanceof PromgateError && error.code === 'not_found')) throw error;
      known.delete(keyOf(binding));
      throw serverFailed(binding, 404);
    });
    const answer = parseJson(body);
    if (head.status === 400 && isObject(answer) && typeof answer.error === 'string')
      throw new PromgateError('bad_data', answer.error);
    if (head.status !== 200) {
      known.delete(keyOf(binding));
      throw serverFailed(binding, head.status);
    }
    const data = isObject(answer) ? answer.data : null;
    const found = reading === 'parse_query' ? readingOfTree(data) : typeof data === 'string' ? tryReading(data) : null;
    return found !== null && isConfined(found, scope, selectors);
  }

  function unverified(binding: Binding): PromgateError {
    alarm('verification', binding);
    return new PromgateError('internal', 'the query could not be confined with certainty; it was not sent', {
      operator: `confinement of a query to server ${binding.server.name} failed its verification`,
    });
  }

  return { decide, capabilities };
}

/** A query or selector, its form and types checked. Throws PromqlError. */
export function read(text: string, form: Form): Expr {
  const expr = parse(text);
  check(expr, text);
  if (form === 'selector' && !isBareSelector(expr)) {
    throw new PromqlError('expected a series selector such as up{job="api"}, without range, offset or function', text, 0);
  }
  return expr;
}

/** `null` for what only the server can read. Too many brackets to be read are too many for the limit, too. */
function tryRead(text: string, { limits }: Binding): Expr | null {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof PromqlError) checkNesting(error, limits);
    return null;
  }
}

function tryReading(text: string) {
  try {
    // A server writes U+FFFD as it is, which is a sign of broken text to us everywhere but here.
    return readingOfText(text.replaceAll('\ufffd', '\\ufffd'));
  } catch {
    return null;
  }
}

/** A number for each server's record as it is now: the same server, changed, is another one. */
function identities(): (server: Server) => number {
  const numbers = new WeakMap<Server, number>();
  let count = 0;
  return (server) => {
    let number = numbers.get(server);
    if (number === undefined) {
      number = ++count;
      numbers.set(server, number);
    }
    return number;
  };
}
