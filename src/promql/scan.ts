import { isAggregateOp, isBinaryOp } from './ast.ts';
import { PromqlError } from './error.ts';
import { functionSignature } from './functions.ts';

/**
 * Brackets inside one another, and operators and modifiers that one of them holds, counted together. The grammar's
 * automaton can do about 900, and what walks the tree may recurse.
 */
export const maxDepth = 250;

/** A text that has passed `scan`, and the same text, index by index, in the spelling that the grammar knows. */
export interface Scanned {
  readonly text: string;
  readonly masked: string;
}

/** One open bracket, or the whole query. */
interface Frame {
  readonly open: string;
  readonly from: number;
  /** `by (…)`, `{…}`: words are names here, whatever they spell. */
  readonly names: boolean;
  /** It belongs to the operator before it (`on (…)`, `fill (…)`): an operand follows. */
  readonly clause: boolean;
  /** Words and numbers here make a duration. */
  readonly duration: boolean;
  /** Operators and modifiers since the bracket or the last comma, and the deepest bracket closed since. */
  operators: number;
  inner: number;
  /** The deepest stretch between commas so far. */
  deepest: number;
}

const closing: Record<string, string> = { '(': ')', '[': ']', '{': '}' };
const space = /[ \t\r\n]+/y;
const word = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const innerWord = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const number =
  /(?:0[xX](?:_?[0-9a-fA-F])+|(?:\d(?:_?\d)*(?:\.(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?|(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?)(?![\w.])/y;
const numberStart = /\.?\d/y;
const symbol = /==|!=|=~|!~|<=|>=|<\/|>\/|[-+*/%^=<>@,:]/y;
const beforeNames = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']);
const modifiers = new Set(['offset', 'anchored', 'smoothed']);
const clauses = new Set(['on', 'ignoring', 'group_left', 'group_right', 'fill', 'fill_left', 'fill_right']);
const durationWords = new Set(['step', 'range', 'min_of', 'max_of']);
const otherWords = new Set([...beforeNames, ...clauses, ...modifiers, 'bool', 'start', 'end', 'inf', 'nan']);
/** Functions that Prometheus has and the grammar lacks, and ones of equal length that it has. */
const standIns = new Map([
  ['holt_winters', 'day_of_month'],
  ['min_of', 'vector'],
  ['max_of', 'vector'],
]);

/**
 * The lexical rules of Prometheus (`promql/parser/lex.go`), where the editor's grammar is laxer or does not know a
 * spelling: four kinds of white space only, ends of strings and comments, numbers, brackets that fit, depth. Throws
 * PromqlError. The masked text has each comment as spaces, each string as `"xxx"`, each number as digits and each name that
 * is no word of the language as `___`, of the same length, so that grammar and server cannot cut the text differently. Each binary operator is `^`: `parse` does the grouping,
 * and the grammar gives up on chains that group to the left after 150 operators (`MaxLeftAssociativeReductionCount`).
 *
 * A carriage return inside a comment is refused: for Prometheus it ends the comment, for a reader and for others it does
 * not, so `up #\r or secret` would show one query and ask another. Before a line feed or the end it is harmless.
 */
export function scan(text: string): Scanned {
  const masked: string[] = [];
  let top = frame('', 0, { names: false, clause: false, duration: false });
  const frames: Frame[] = [top];
  let at = 0;
  /** The word before, in lower case; '' when something else stands before. */
  let previous = '';
  /** Can an operand not follow here, so that `offset` and `and` are keywords, no names? */
  let operandBefore = false;
  /** Between `offset` and its duration. */
  let afterOffset = false;

  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? '';
    at += found.length;
    return found;
  };
  const count = (from: number): void => {
    top.operators += 1;
    if (frames.length + top.operators + top.inner > maxDepth) throw tooDeep(text, from, frames.length);
  };

  while (at < text.length) {
    const from = at;
    const character = text[at] ?? '';
    if (take(space) !== '') {
      masked.push(text.slice(from, at));
      continue;
    }
    if (character === '#') {
      at = endOfComment(text, at);
      masked.push(' '.repeat(at - from));
      continue;
    }
    let shown: string;
    let wordHere = '';
    if (character === '"' || character === "'" || character === '`') {
      at = endOfString(text, at);
      shown = `"${'x'.repeat(at - from - 2)}"`;
      operandBefore = true;
      afterOffset = false;
    } else if (closing[character] !== undefined) {
      at += 1;
      shown = character;
      if (character === '[') count(from);
      const names = character === '{' || (character === '(' && beforeNames.has(previous));
      const clause = character === '(' && clauses.has(previous);
      top = frame(character, from, { names, clause, duration: top.duration || afterOffset || character === '[' });
      frames.push(top);
      if (frames.length > maxDepth) throw tooDeep(text, from, frames.length);
      operandBefore = false;
      afterOffset = false;
    } else if (character === ')' || character === ']' || character === '}') {
      at += 1;
      shown = character;
      if (closing[top.open] !== character) throw unexpected(text, from, top.open === '' ? '' : `"${closing[top.open]}"`);
      endStretch(top);
      frames.pop();
      operandBefore = !top.clause;
      const depth = top.deepest + 1;
      top = frames[frames.length - 1] ?? top;
      top.inner = Math.max(top.inner, depth);
      if (frames.length + top.operators + top.inner > maxDepth) throw tooDeep(text, from, frames.length);
    } else if (take(numberStart) !== '') {
      at = from;
      if (take(number) === '') throw new PromqlError('bad number or duration syntax', text, from, { found: tokenAt(text, from) });
      // The point stays: after a name, digits alone would become part of it.
      shown = (character === '.' ? '.' : '0') + '0'.repeat(at - from - 1);
      operandBefore = true;
      afterOffset = false;
    } else if (take(top.names || top.open === '[' ? innerWord : word) !== '') {
      const written = text.slice(from, at);
      wordHere = written.toLowerCase();
      shown = written;
      const infix = isBinaryOp(wordHere) || modifiers.has(wordHere);
      if (infix && operandBefore && !top.names) {
        count(from);
        if (isBinaryOp(wordHere)) shown = power(written);
        operandBefore = wordHere === 'anchored' || wordHere === 'smoothed';
        afterOffset = wordHere === 'offset';
      } else {
        const duration = durationWords.has(wordHere) && (top.duration || afterOffset);
        // `fill` is a keyword where a parenthesis follows, else a name like any other.
        const keyword =
          isAggregateOp(wordHere) || (otherWords.has(wordHere) && (!wordHere.startsWith('fill') || opensCall(text, at)));
        if (top.names || infix) shown = '_'.repeat(written.length);
        else if (duration) shown = wordHere;
        else if (!keyword) shown = shownName(text, from, at);
        operandBefore = !keyword || (wordHere !== 'bool' && !clauses.has(wordHere));
      }
    } else {
      shown = take(symbol);
      if (shown === '') throw unexpected(text, from, '');
      if (shown === ',') endStretch(top);
      else if (shown === '@' || isBinaryOp(shown)) count(from);
      if (shown !== '+' && shown !== '-') afterOffset = false;
      if (operandBefore && isBinaryOp(shown) && !top.names && !top.duration) shown = power(shown);
      operandBefore = false;
    }
    masked.push(shown);
    previous = wordHere;
  }
  if (top.open !== '')
    throw new PromqlError(`unclosed "${top.open}"`, text, top.from, { found: '', expected: `"${closing[top.open]}"` });
  return { text, masked: masked.join('') };
}

function frame(open: string, from: number, kind: Pick<Frame, 'names' | 'clause' | 'duration'>): Frame {
  return { open, from, ...kind, operators: 0, inner: 0, deepest: 0 };
}

function power(operator: string): string {
  return '^'.padEnd(operator.length);
}

function endStretch(top: Frame): void {
  top.deepest = Math.max(top.deepest, top.operators + top.inner);
  top.operators = 0;
  top.inner = 0;
}

function endOfComment(text: string, from: number): number {
  const lineFeed = text.indexOf('\n', from);
  const end = lineFeed === -1 ? text.length : lineFeed;
  // Only this line is looked at: else a text of many comments would be looked through for each.
  const carriageReturn = text.slice(from, end - 1).indexOf('\r');
  if (carriageReturn !== -1) {
    throw new PromqlError('carriage return inside a comment', text, from + carriageReturn, {
      found: '\r',
      expected: 'a line feed',
    });
  }
  return end;
}

const stringEnd: Record<string, RegExp> = { '"': /["\\\n]/g, "'": /['\\\n]/g, '`': /`/g };
const notText = /[\ufffd\p{Cs}]/u;

function endOfString(text: string, from: number): number {
  const end = stringEnd[text[from] ?? ''] ?? /$/g;
  end.lastIndex = from + 1;
  for (let stop = end.exec(text); stop !== null; stop = end.exec(text)) {
    if (stop[0] === '\n') break;
    if (stop[0] !== '\\') {
      // Go's lexer refuses U+FFFD, which is also what became of bytes that were no UTF-8 on their way here.
      if (notText.test(text.slice(from, stop.index))) throw new PromqlError('invalid UTF-8 in string', text, from);
      return stop.index + 1;
    }
    end.lastIndex = stop.index + 2;
  }
  const what = text[from] === '`' ? 'unterminated raw string' : 'unterminated quoted string';
  throw new PromqlError(what, text, from, { found: '', expected: text[from] ?? '' });
}

const callStart = /[ \t\r\n]*\(/y;

function opensCall(text: string, at: number): boolean {
  callStart.lastIndex = at;
  return callStart.test(text);
}

/** A function keeps its name where it is called, or gets that of its stand-in; all else is a name of the user's. */
function shownName(text: string, from: number, to: number): string {
  const written = text.slice(from, to);
  if (functionSignature(written) === undefined || !opensCall(text, to)) return '_'.repeat(written.length);
  return standIns.get(written) ?? written;
}

function tooDeep(text: string, at: number, nesting: number): PromqlError {
  return new PromqlError(`more than ${maxDepth} brackets and operators inside one another`, text, at, { nesting });
}

/** "unexpected …" for what stands at `at`. */
export function unexpected(text: string, at: number, expected: string): PromqlError {
  const found = tokenAt(text, at);
  const what = found === '' ? 'unexpected end of input' : `unexpected ${JSON.stringify(found)}`;
  return new PromqlError(
    expected === '' ? what : `${what}, expected ${expected}`,
    text,
    at,
    expected === '' ? { found } : { found, expected },
  );
}

/** For messages: the token that starts at `at`, cut short. */
function tokenAt(text: string, at: number): string {
  return (/^(?:[\w.:]+|[=!<>]+[=~]?|"[^"\n]*"?|'[^'\n]*'?|.|)/su.exec(text.slice(at, at + 40)) ?? [''])[0];
}
