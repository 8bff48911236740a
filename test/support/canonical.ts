/**
 * The selectors of a query in a server's canonical form (what `format_query` answers), read character by character. It
 * shares nothing with `src/promql`, so that both can be held against each other.
 */
export interface SeenSelector {
  /** What stands before the braces. */
  readonly name: string;
  readonly matchers: readonly SeenMatcher[];
}

export interface SeenMatcher {
  readonly label: string;
  readonly op: string;
  readonly value: string;
}

const aggregations = new Set(
  'avg bottomk count count_values group limit_ratio limitk max min quantile stddev stdvar sum topk'.split(' '),
);
const clauses = new Set('by without on ignoring group_left group_right fill fill_left fill_right'.split(' '));
const infix = new Set('and or unless atan2 offset anchored smoothed'.split(' '));
const wordStart = '_:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const digits = '0123456789';

/** Every selector, in order. Throws where the text is not in canonical form. */
export function selectorsIn(text: string): SeenSelector[] {
  const selectors: SeenSelector[] = [];
  let at = 0;
  /** Whether an operand has just ended, so that a word is an operator and no name. */
  let operandBefore = false;

  const skipSpace = (): void => {
    while (' \n\t\r'.includes(text[at] ?? 'x')) at += 1;
  };
  const run = (characters: string): string => {
    const from = at;
    while (at < text.length && characters.includes(text[at] ?? '')) at += 1;
    return text.slice(from, at);
  };
  const string = (): string => {
    const quote = text[at];
    const from = at;
    at += 1;
    while (text[at] !== quote) {
      if (at >= text.length) throw new Error(`string without end: ${text}`);
      at += text[at] === '\\' && quote !== '`' ? 2 : 1;
    }
    at += 1;
    const inner = text.slice(from + 1, at - 1);
    if (quote === '`') return inner;
    return quote === '"' && !inner.includes('\\') ? inner : unescaped(inner);
  };
  const label = (): string => {
    skipSpace();
    return '"\'`'.includes(text[at] ?? 'x') ? string() : run(wordStart + digits);
  };
  const braces = (name: string): void => {
    const matchers: SeenMatcher[] = [];
    at += 1;
    for (;;) {
      skipSpace();
      if (text[at] === '}') break;
      const name = label();
      skipSpace();
      const op = run('=!~');
      skipSpace();
      if (op === '') matchers.push({ label: '__name__', op: '=', value: name });
      else matchers.push({ label: name, op, value: string() });
      skipSpace();
      if (text[at] === ',') at += 1;
      else if (text[at] !== '}') throw new Error(`unexpected ${text.slice(at, at + 20)} in braces: ${text}`);
    }
    at += 1;
    selectors.push({ name, matchers });
  };
  const past = (close: string): void => {
    while (text[at] !== close) {
      if (at >= text.length) throw new Error(`no ${close}: ${text}`);
      if ('"\'`'.includes(text[at] ?? 'x')) string();
      else at += 1;
    }
    at += 1;
  };

  while (at < text.length) {
    skipSpace();
    const character = text[at] ?? '';
    if (character === '') break;
    if ('"\'`'.includes(character)) {
      string();
      operandBefore = true;
    } else if (character === '{') {
      braces('');
      operandBefore = true;
    } else if (character === '[') {
      past(']');
      operandBefore = true;
    } else if (digits.includes(character) || character === '.') {
      run(`${digits}.`);
      // An exponent or the units of a duration.
      if ('eE'.includes(text[at] ?? 'x') && '+-'.includes(text[at + 1] ?? 'x')) at += 2;
      run(wordStart + digits);
      operandBefore = true;
    } else if (wordStart.includes(character)) {
      word();
    } else if (character === ')') {
      at += 1;
      operandBefore = true;
    } else if ('(,+-*/%^=!<>~@'.includes(character)) {
      at += 1;
      operandBefore = false;
    } else throw new Error(`unexpected ${JSON.stringify(character)}: ${text}`);
  }
  return selectors;

  function word(): void {
    const name = run(wordStart + digits);
    const end = at;
    skipSpace();
    const opens = text[at] ?? '';
    const next = run(wordStart + digits);
    at = end;
    skipSpace();
    const grouped = next === 'by' || next === 'without';
    if (opens === '{') {
      braces(name);
      operandBefore = true;
    } else if (clauses.has(name) && opens === '(') {
      past(')');
      operandBefore = false;
    } else if (name === 'bool' || (operandBefore && infix.has(name)) || opens === '(' || (aggregations.has(name) && grouped)) {
      operandBefore = false;
    } else {
      if (name.toLowerCase() !== 'inf' && name.toLowerCase() !== 'nan') selectors.push({ name, matchers: [] });
      operandBefore = true;
    }
  }
}

/** Go's escapes; bytes and code points alike, which is enough to tell whether a text is the one expected. */
function unescaped(text: string): string {
  const single: Record<string, string> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b', f: '\f', v: '\v' };
  const lengths: Record<string, number> = { x: 2, u: 4, U: 8 };
  let out = '';
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] !== '\\') {
      out += text[at];
      continue;
    }
    at += 1;
    const kind = text[at] ?? '';
    const length = lengths[kind];
    if (length === undefined) out += single[kind] ?? kind;
    else {
      out += String.fromCodePoint(Number.parseInt(text.slice(at + 1, at + 1 + length), 16));
      at += length;
    }
  }
  return out;
}
