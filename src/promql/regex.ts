/** What is wrong with a regular expression, in the words of Go's `regexp/syntax`. */
export class RegexError extends Error {}

const maxRepeat = 1000;
const maxGroups = 250;
const posixClass = /\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]/y;
const repeat = /\{(\d+)(,(\d*))?\}/y;
const groupStart = /\(\?(?:P?<([A-Za-z0-9_]+)>|[imsU]*(?:-[imsU]+)?:|([imsU]*(?:-[imsU]+)?)\))/y;
const literalEscape = /\\(?:[1-7][0-7]{1,2}|0[0-7]{0,2}|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]+\}|[afnrtv]|(?![0-9A-Za-z])\p{ASCII})/uy;
const classEscape = /\\(?:[dDsSwW]|[pP](?:\{\^?[A-Za-z_]+\}|[A-Z]))/y;

/** What of an expression matters here: can it match the empty text, and by how much are its parts repeated? */
interface Part {
  readonly empty: boolean;
  readonly factor: number;
}

/**
 * Reads a regular expression of Go's dialect (RE2, https://pkg.go.dev/regexp/syntax) and says whether it matches the
 * empty text when anchored at both ends, as Prometheus anchors matchers. Throws RegexError where Go would refuse it
 * (look-around, backreferences, unfitting brackets, repetition beyond 1000, …). The expression is read, never run:
 * JavaScript's engine means other things by the same signs and can be made to run for hours.
 */
export function matchesEmpty(pattern: string): boolean {
  let at = 0;
  let groups = 0;
  const names = new Set<string>();

  const take = (expression: RegExp): RegExpExecArray | null => {
    expression.lastIndex = at;
    const match = expression.exec(pattern);
    if (match !== null) at += match[0].length;
    return match;
  };

  function alternation(): Part {
    let empty = false;
    let factor = 1;
    for (;;) {
      const part = sequence();
      empty ||= part.empty;
      factor = Math.max(factor, part.factor);
      if (pattern[at] !== '|') return { empty, factor };
      at += 1;
    }
  }

  function sequence(): Part {
    let empty = true;
    let factor = 1;
    while (at < pattern.length && pattern[at] !== '|' && pattern[at] !== ')') {
      const part = repeated(atom());
      empty &&= part.empty;
      factor = Math.max(factor, part.factor);
    }
    return { empty, factor };
  }

  function repeated(part: Part): Part {
    const from = at;
    const sign = pattern[at];
    let { empty, factor } = part;
    if (sign === '*' || sign === '?' || sign === '+') {
      at += 1;
      empty ||= sign !== '+';
    } else {
      const counts = take(repeat);
      if (counts === null) return part;
      const least = Number(counts[1]);
      const most = counts[2] === undefined ? least : counts[3] === '' ? least : Number(counts[3]);
      factor *= Math.max(least, most, 1);
      if (most < least || factor > maxRepeat) throw new RegexError(`invalid repeat count: \`${counts[0]}\``);
      empty ||= least === 0;
    }
    if (pattern[at] === '?') at += 1;
    const next = pattern[at];
    repeat.lastIndex = at;
    if (next === '*' || next === '+' || next === '?' || repeat.test(pattern)) {
      throw new RegexError(`invalid nested repetition operator: \`${pattern.slice(from, at + 1)}\``);
    }
    return { empty, factor };
  }

  function atom(): Part {
    const character = pattern[at] ?? '';
    if (character === '(') return group();
    if (character === '[') return bracketClass();
    if (character === '*' || character === '+' || character === '?') {
      throw new RegexError(`missing argument to repetition operator: \`${character}\``);
    }
    repeat.lastIndex = at;
    if (character === '{' && repeat.test(pattern)) throw new RegexError('missing argument to repetition operator: `{`');
    if (character === '\\') return escapeSequence();
    at += 1;
    return { empty: character === '^' || character === '$', factor: 1 };
  }

  function escapeSequence(): Part {
    const next = pattern[at + 1] ?? '';
    if (next === 'A' || next === 'z' || next === 'B' || next === 'b') {
      at += 2;
      // The empty text has no word boundary.
      return { empty: next !== 'b', factor: 1 };
    }
    if (next === 'Q') {
      const end = pattern.indexOf('\\E', at + 2);
      const empty = (end === -1 ? pattern.length : end) === at + 2;
      at = end === -1 ? pattern.length : end + 2;
      return { empty, factor: 1 };
    }
    if (take(classEscape) === null && take(literalEscape) === null) badEscape();
    return { empty: false, factor: 1 };
  }

  function badEscape(): never {
    if (at + 1 >= pattern.length) throw new RegexError('trailing backslash at end of expression: ``');
    throw new RegexError(`invalid escape sequence: \`${pattern.slice(at, at + 2)}\``);
  }

  function group(): Part {
    groups += 1;
    if (groups > maxGroups) throw new RegexError('expression nests too deeply');
    if (pattern[at + 1] === '?') {
      const start = take(groupStart);
      if (start === null) throw new RegexError(`invalid or unsupported Perl syntax: \`${pattern.slice(at, at + 3)}\``);
      if (start[1] !== undefined && names.has(start[1])) throw new RegexError(`duplicate capture group name: \`${start[1]}\``);
      if (start[1] !== undefined) names.add(start[1]);
      if (start[0].endsWith(')')) {
        groups -= 1;
        return { empty: true, factor: 1 };
      }
    } else {
      at += 1;
    }
    const part = alternation();
    if (pattern[at] !== ')') throw new RegexError(`missing closing ): \`${pattern}\``);
    at += 1;
    groups -= 1;
    return part;
  }

  function bracketClass(): Part {
    const from = at;
    at += pattern[at + 1] === '^' ? 2 : 1;
    for (let first = true; first || pattern[at] !== ']'; first = false) {
      if (at >= pattern.length) throw new RegexError(`missing closing ]: \`${pattern.slice(from)}\``);
      if (take(posixClass) !== null || take(classEscape) !== null) continue;
      const start = at;
      const low = classCharacter(from);
      if (pattern[at] !== '-' || pattern[at + 1] === ']' || at + 1 >= pattern.length) continue;
      at += 1;
      if (classCharacter(from) < low) throw new RegexError(`invalid character class range: \`${pattern.slice(start, at)}\``);
    }
    at += 1;
    return { empty: false, factor: 1 };
  }

  function classCharacter(from: number): number {
    if (at >= pattern.length) throw new RegexError(`missing closing ]: \`${pattern.slice(from)}\``);
    if (pattern[at] !== '\\') {
      const code = pattern.codePointAt(at) ?? 0;
      at += code > 0xffff ? 2 : 1;
      return code;
    }
    const escaped = take(literalEscape)?.[0];
    return escaped === undefined ? badEscape() : escapedCode(escaped.slice(1));
  }

  const whole = alternation();
  if (at < pattern.length) throw new RegexError(`unexpected ): \`${pattern}\``);
  return whole.empty;
}

const controls: Record<string, number> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };

function escapedCode(escaped: string): number {
  if (/^[0-7]/.test(escaped)) return Number.parseInt(escaped, 8);
  if (escaped.startsWith('x')) return Number.parseInt(escaped.replace(/[x{}]/g, ''), 16);
  return controls[escaped] ?? escaped.charCodeAt(0);
}
